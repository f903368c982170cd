// Package enginetest is what tests of the engine share, from outside and from within its process.
package enginetest

import (
	"context"

	"chatwren/engine/enginepb"
)

// Send sends one message by a stream of its own.
func Send(ctx context.Context, engine enginepb.EngineClient, request *enginepb.SendRequest) (*enginepb.SendResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := engine.Send(ctx)
	if err != nil {
		return nil, err
	}
	if err := stream.Send(&enginepb.SendBatch{Sends: []*enginepb.SendBatch_One{{Number: 1, Request: request}}}); err != nil {
		return nil, err
	}
	batch, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return batch.Outcomes[0].Outcome, nil
}
