package signal

import "go.mau.fi/libsignal/logger"

// silence drops what libsignal logs. Its own logger prints session state, keys included, on standard output, and sets
// itself up at the first use in a way that races.
type silence struct{}

func (silence) Debug(string, string)   {}
func (silence) Info(string, string)    {}
func (silence) Warning(string, string) {}
func (silence) Error(string, string)   {}
func (silence) Configure(string)       {}

func init() {
	var quiet logger.Loggable = silence{}
	logger.Setup(&quiet)
}
