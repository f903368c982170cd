package bridge

import (
	"context"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"chatwren/engine/enginepb"
)

// Groups asks WhatsApp for all groups of the account.
func (s *door) Groups(ctx context.Context, request *enginepb.GroupsRequest) (*enginepb.GroupsResponse, error) {
	a, err := s.engine.connected(request.Account, request.Epoch)
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.during(ctx)
	defer cancel()
	groups, err := a.client.GetJoinedGroups(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	response := &enginepb.GroupsResponse{}
	for _, group := range groups {
		found := &enginepb.Group{Jid: group.JID.String(), Name: group.Name, Announce: group.IsAnnounce}
		for _, member := range group.Participants {
			lid := member.LID
			if lid.IsEmpty() && member.JID.Server == types.HiddenUserServer {
				lid = member.JID
			}
			participant := &enginepb.Group_Participant{
				Phone: a.phone(ctx, member.JID, member.PhoneNumber),
				Admin: member.IsAdmin || member.IsSuperAdmin,
			}
			if !lid.IsEmpty() {
				participant.Lid = lid.ToNonAD().String()
			}
			found.Participants = append(found.Participants, participant)
		}
		response.Groups = append(response.Groups, found)
	}
	return response, nil
}

// CheckNumbers asks WhatsApp which numbers it knows.
func (s *door) CheckNumbers(ctx context.Context, request *enginepb.CheckNumbersRequest) (*enginepb.CheckNumbersResponse, error) {
	a, err := s.engine.connected(request.Account, request.Epoch)
	if err != nil {
		return nil, err
	}
	asked := make([]string, len(request.Phones))
	for i, phone := range request.Phones {
		if phone == "" || strings.Trim(phone, "0123456789") != "" {
			return nil, status.Error(codes.InvalidArgument, "phones: want digits")
		}
		asked[i] = "+" + phone
	}
	response := &enginepb.CheckNumbersResponse{}
	if len(asked) == 0 {
		return response, nil
	}
	ctx, cancel := a.during(ctx)
	defer cancel()
	answers, err := a.client.IsOnWhatsApp(ctx, asked)
	if err != nil {
		return nil, unavailable(err)
	}
	byPhone := make(map[string]types.IsOnWhatsAppResponse, len(answers))
	for _, answer := range answers {
		byPhone[strings.TrimPrefix(answer.Query, "+")] = answer
	}
	for _, phone := range request.Phones {
		result := &enginepb.CheckNumbersResponse_Result{Phone: phone}
		if answer := byPhone[phone]; answer.IsIn {
			address := answer.PhoneNumber
			if address.IsEmpty() {
				address = answer.JID
			}
			result.Registered = true
			result.Jid = address.ToNonAD().String()
			result.RegisteredPhone = a.phone(ctx, address, answer.JID)
		}
		response.Results = append(response.Results, result)
	}
	return response, nil
}

// MarkRead tells the sender of messages that they were read.
func (s *door) MarkRead(ctx context.Context, request *enginepb.MarkReadRequest) (*enginepb.MarkReadResponse, error) {
	a, err := s.engine.connected(request.Account, request.Epoch)
	if err != nil {
		return nil, err
	}
	chat, err := types.ParseJID(request.Chat)
	if err != nil || chat.User == "" {
		return nil, status.Error(codes.InvalidArgument, "chat: not a JID")
	}
	sender, err := types.ParseJID(request.Sender)
	if err != nil || sender.User == "" {
		return nil, status.Error(codes.InvalidArgument, "sender: not a JID")
	}
	if len(request.Ids) == 0 {
		return &enginepb.MarkReadResponse{}, nil
	}
	ctx, cancel := a.during(ctx)
	defer cancel()
	if err := a.client.MarkRead(ctx, request.Ids, time.Now(), chat, sender); err != nil {
		return nil, unavailable(err)
	}
	return &enginepb.MarkReadResponse{}, nil
}
