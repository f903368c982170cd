package sandbox

import waBinary "go.mau.fi/whatsmeow/binary"

type phoneCode struct{}

func (c *connection) handleLinkCode(node, _ *waBinary.Node) {
	c.refuse(node, 501, "feature-not-implemented")
}
func (s *Server) forgetPhoneCode(*connection)     {}
func (p *phone) welcome(address)                  {}
func (p *phone) servePeer(*parcel, any)           {}
func (p *phone) setDisappearing(*message, uint32) {}
