package follow

import (
	"bytes"
	"strings"

	"exile/journal"
)

// fields adds to e the fields of the current entry whose names begin with the prefix. If a field repeats, the first wins. A field that cannot
// be read is missing: its reader knows which it needs.
func (f *file) fields(e *journal.Entry, prefix string) {
	if prefix == "" {
		return
	}
	if e.Fields == nil {
		e.Fields = make(map[string]string)
	}
	found := e.Fields
	for i := range f.cursor.Fields() {
		data, _, err := f.cursor.Data(i, maxField)
		if err != nil || !bytes.HasPrefix(data, []byte(prefix)) {
			continue
		}
		name, value, _ := strings.Cut(string(data), "=")
		if _, has := found[name]; !has && len(found) < maxFields {
			found[name] = value
		}
	}
}
