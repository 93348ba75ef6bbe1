package dbusapi

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"exile/internal/control"
)

// Whatever the daemon says of itself reaches who asks over the bus.
func TestStatusIsDescribedWhole(t *testing.T) {
	t.Parallel()
	var want control.Status
	for i, v := 0, reflect.ValueOf(&want).Elem(); i < v.NumField(); i++ {
		switch f := v.Field(i).Addr().Interface().(type) {
		case *string:
			*f = "text"
		case *[]string:
			*f = []string{"one", "two"}
		case *int:
			*f = i + 1
		case *uint64:
			*f = uint64(i + 1)
		case *time.Time:
			*f = time.UnixMicro(int64(1_700_000_000_000_000 + i))
		case *time.Duration:
			*f = time.Duration(i+1) * time.Microsecond
		case *map[string]uint64:
			*f = map[string]uint64{"set": 7}
		case *[]control.Day:
			*f = []control.Day{{Date: time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC), Passed: 1, Dropped: 2, Bans: 3, Protected: 4, Denied: 5}}
		default:
			t.Fatalf("field %s: no value for a %T", v.Type().Field(i).Name, f)
		}
	}
	text, err := json.Marshal(toStatusDoc(want, nil))
	if err != nil {
		t.Fatal(err)
	}
	var d statusDoc
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, d.status()); diff != "" {
		t.Errorf("(-said +heard)\n%s", diff)
	}
}
