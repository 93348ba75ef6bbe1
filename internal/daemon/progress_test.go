package daemon

import (
	"strings"
	"testing"
	"time"

	"exile/journal"
)

// TestProgress: STATUS= says how far a source was read, and nothing of one that has no time yet.
func TestProgress(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dated := journal.Position{Realtime: uint64(now.UnixMicro())}
	s := sources{running: map[string]*running{"text:web": {Source: Source{Name: "text:web"}, first: now.Add(-time.Hour)}}}
	if got := s.progress(); got != "" {
		t.Errorf("without a time: %q", got)
	}
	s.running["text:web"].position = dated
	if got := s.progress(); !strings.HasPrefix(got, "; text:web read to "+now.Format("2006-")) {
		t.Errorf("with a time: %q", got)
	}
}
