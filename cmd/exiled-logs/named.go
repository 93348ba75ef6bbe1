package main

import (
	"fmt"
	"sync"

	"exile/internal/config"
)

// named knows which logs root's configuration names. exiled says nothing about that: it may have been taken over.
type named struct {
	warn func(error)

	mu     sync.Mutex
	reader config.Reader
	good   *config.Config // the last without a mistake
	said   string         // the last warning
}

// patterns returns the logs of the jails that are enabled now. While there is a mistake in the files they are those from before it, which
// exiled reads, too; if there was none before, there are none.
func (n *named) patterns() (all []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	cfg, err := n.reader.Load()
	n.tell(err)
	if err == nil {
		n.good = cfg
	}
	if n.good == nil {
		return nil
	}
	for _, j := range n.good.Jails {
		if j.Enabled || j.Auto { // its service may have been installed since
			all = append(all, j.LogPath...)
		}
	}
	return all
}

// tell warns of a mistake once.
func (n *named) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if n.said != text && err != nil {
		n.warn(fmt.Errorf("which logs may be opened stays as it was: %w", err))
	}
	n.said = text
}
