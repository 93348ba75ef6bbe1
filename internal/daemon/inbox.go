package daemon

import (
	"context"

	"exile/internal/control"
)

// inbox is how other goroutines reach the loop.
type inbox struct {
	requests chan func(life context.Context)
	closed   chan struct{} // when the loop has ended
}

func newInbox() inbox {
	return inbox{requests: make(chan func(life context.Context)), closed: make(chan struct{})}
}

// ask runs f in the loop and waits for it. f gets the context of the loop, so that its work is not cut short when the caller goes away.
func (i *inbox) ask(ctx context.Context, f func(life context.Context)) error {
	done := make(chan struct{})
	select {
	case i.requests <- func(life context.Context) { f(life); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-i.closed:
		return control.ErrStopping
	}
}

// send has the loop call f, unless ctx ends first.
func (i *inbox) send(ctx context.Context, f func(context.Context)) {
	select {
	case i.requests <- f:
	case <-ctx.Done():
	}
}

// wait waits for an answer of the loop, or for its end.
func (i *inbox) wait(ctx context.Context, said <-chan error) error {
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-i.closed:
		return stoppedUnless(said)
	}
}

// stoppedUnless returns an answer that came together with the end of the loop.
func stoppedUnless(said <-chan error) error {
	select {
	case err := <-said:
		return err
	default:
		return control.ErrStopping
	}
}
