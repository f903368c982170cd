package bridge_test

import (
	"testing"

	"chatwren/engine/enginepb"
)

func TestOneStreamCarriesTheSendsOfAllAccounts(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	alice, bob, charlie := n.pair(newNumber()), n.pair(newNumber()), newNumber()
	stream, err := n.EngineClient.Send(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := func(account, to string) *enginepb.SendRequest {
		return &enginepb.SendRequest{Account: account, Epoch: 1, Id: newMessageID(), To: to, Text: "hello", TimeoutMs: 10_000}
	}
	requests := map[uint64]*enginepb.SendRequest{
		3: text(alice.id, address(charlie)), 9: text(bob.id, address(charlie)), 5: text("nobody", address(charlie)),
		7: text(alice.id, "no address"), 1: nil,
	}
	batch := &enginepb.SendBatch{}
	for number, request := range requests {
		batch.Sends = append(batch.Sends, &enginepb.SendBatch_One{Number: number, Request: request})
	}
	if err := stream.Send(batch); err != nil {
		t.Fatal(err)
	}
	outcomes := map[uint64]*enginepb.SendResponse{}
	for len(outcomes) < len(requests) {
		batch, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range batch.Outcomes {
			if _, twice := outcomes[one.Number]; twice {
				t.Errorf("%d has two outcomes", one.Number)
			}
			outcomes[one.Number] = one.Outcome
		}
	}
	if outcomes[3].GetSent() == nil || outcomes[9].GetSent() == nil {
		t.Errorf("not sent: %v", outcomes)
	}
	if outcomes[5].GetNotSent().GetReason() != enginepb.SendResponse_NotSent_NOT_OPEN {
		t.Errorf("an account that is not open: %v", outcomes[5])
	}
	if outcomes[7].GetInvalid() == nil || outcomes[1].GetInvalid() == nil {
		t.Errorf("what is no message: %v, %v", outcomes[7], outcomes[1])
	}
	awaitOnPhone(t, charlie, requests[3].Id)
	awaitOnPhone(t, charlie, requests[9].Id)
}
