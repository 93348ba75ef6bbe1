package follow

import (
	"context"
	"fmt"

	"exile/journal"
)

// Read calls emit with all that there is now, in order as Follow does, and returns. It waits for nothing. When ctx ends it returns what
// ended it.
func (s *Source) Read(ctx context.Context, from journal.Start, emit func(journal.Batch) error) error {
	r := s.reader(from, emit)
	defer r.close()
	r.scan()
	if err := r.drain(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.flush(true); err != nil {
		return err
	}
	if r.fatal != nil {
		return fmt.Errorf("read journal: %w", r.fatal)
	}
	return nil
}
