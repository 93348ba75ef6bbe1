package textlog

import (
	"fmt"
	"strings"

	"exile/journal"
)

// place is how far a file was read. The hash is that of the file's first bytes read by then, up to headSize, which do not
// change as the file grows.
type place struct {
	fileID
	offset int64
	head   uint64
}

func (p place) position() journal.Position {
	return journal.Position{Device: p.device, Inode: p.inode, Offset: p.offset, Head: p.head}
}

func (p place) String() string {
	return fmt.Sprintf("%x.%x.%x.%x", p.device, p.inode, p.offset, p.head)
}

// join makes one position of the places in all files.
func join(files []*file) journal.Position {
	position := files[0].position()
	if len(files) == 1 {
		return position
	}
	others := make([]string, 0, len(files)-1)
	for _, f := range files[1:] {
		others = append(others, f.place().String())
	}
	position.Others = strings.Join(others, ",")
	return position
}

// split is the reverse of join. Any position not in text logs is nowhere.
func split(p journal.Position) ([]place, error) {
	if p.Inode == 0 {
		return nil, nil
	}
	places := []place{{fileID: fileID{p.Device, p.Inode}, offset: p.Offset, head: p.Head}}
	if p.Others != "" {
		for text := range strings.SplitSeq(p.Others, ",") {
			var o place
			if _, err := fmt.Sscanf(text, "%x.%x.%x.%x", &o.device, &o.inode, &o.offset, &o.head); err != nil {
				return nil, fmt.Errorf("resume text logs: read position %q: %w", text, err)
			}
			places = append(places, o)
		}
	}
	for _, place := range places {
		if place.offset < 0 {
			return nil, fmt.Errorf("resume text logs: read position %q: negative offset", place)
		}
	}
	return places, nil
}
