package merge

import (
	"fmt"
	"strings"

	"exile/journal"
)

// between separates the positions of the parts. None of them has it.
const between = "|"

// hide replaces the characters that structure a position, so that one can be in another; show is the reverse. No position has the replacements.
func hide(text string) string { return strings.NewReplacer(";", "/", "=", "~").Replace(text) }

func show(text string) string { return strings.NewReplacer("/", ";", "~", "=").Replace(text) }

// join makes one position of those of all parts.
func join(parts []part) (all journal.Position) {
	texts := make([]string, len(parts))
	for i, p := range parts {
		all.Realtime = max(all.Realtime, p.position.Realtime)
		texts[i] = hide(p.position.String())
	}
	all.Parts = strings.Join(texts, between)
	if strings.Trim(all.Parts, between) == "" {
		return journal.Position{}
	}
	return all
}

// First returns the position of a merged source whose first part is at p, and whose others have none yet.
func First(p journal.Position) journal.Position { return join([]part{{position: p}}) }

// split is the reverse of join. A part that the position does not have is new, and so are all if it is that of a single source.
func split(p journal.Position, n int) ([]journal.Position, error) {
	all := make([]journal.Position, n)
	for i, text := range strings.SplitN(p.Parts, between, n+1) {
		if i == n {
			break
		}
		var err error
		if all[i], err = journal.ParsePosition(show(text)); err != nil {
			return nil, fmt.Errorf("resume merged sources: %w", err)
		}
	}
	return all, nil
}
