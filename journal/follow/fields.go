package follow

import (
	"bytes"
	"strings"
)

// fields returns the fields of the current entry whose names begin with the prefix. If a field repeats, the first wins. A field that cannot
// be read is missing: its reader knows which it needs.
func (f *file) fields(prefix string) map[string]string {
	if prefix == "" {
		return nil
	}
	found := make(map[string]string)
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
	return found
}
