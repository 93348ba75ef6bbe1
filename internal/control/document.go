package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"sync"
	"time"
)

// The records of this package are the documents that every face shows: the bus, the Varlink socket and exilectl write the
// same JSON. A field's tag is its name there. encoding/json would write times, durations and prefixes differently from what
// programs want, so each record is written through a form: the same fields, with these types replaced.
//
//	time.Time      _usec: microseconds since 1970; null: never, or for ever
//	time.Duration  _usec: microseconds; null: for ever
//	netip.Prefix   "192.0.2.1", "2001:db8::/64"; empty: none
//	lists          [] where there are none
//	a Ban          null where there is none

// form is how the records of a type are written.
type form struct {
	typ    reflect.Type
	fields []field
}

// field is a field of a record, possibly of an embedded one.
type field struct {
	index []int
	as    as
}

// as is how a field is written.
type as uint8

const (
	asIs as = iota
	asTime
	asDuration
	asPrefix
	asList
)

// forms has the form of each record.
var forms = sync.OnceValue(func() map[reflect.Type]form {
	all := make(map[reflect.Type]form)
	for _, r := range Records() {
		all[reflect.TypeOf(r)] = newForm(reflect.TypeOf(r))
	}
	return all
})

// Records returns one of each record that has a form, for tests that compare the faces.
func Records() []any {
	return []any{Ban{}, Host{}, JailStatus{}, Day{}, Status{}, Blocklist{}, Overview{}, Address{}, Standing{}, Held{}, Name{}, Event{}}
}

func newForm(record reflect.Type) (f form) {
	var fields []reflect.StructField
	for _, of := range reflect.VisibleFields(record) {
		if tag := of.Tag.Get("json"); tag == "-" || of.Anonymous {
			continue
		}
		as, t := formOf(of.Type)
		f.fields = append(f.fields, field{of.Index, as})
		fields = append(fields, reflect.StructField{Name: of.Name, Type: t, Tag: of.Tag})
	}
	f.typ = reflect.StructOf(fields)
	return f
}

func formOf(t reflect.Type) (as, reflect.Type) {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return asTime, reflect.TypeFor[*int64]()
	case t == reflect.TypeFor[time.Duration]():
		return asDuration, reflect.TypeFor[*int64]()
	case t == reflect.TypeFor[netip.Prefix]():
		return asPrefix, reflect.TypeFor[string]()
	case t.Kind() == reflect.Slice:
		return asList, t
	}
	return asIs, t
}

// Document returns a record, given by a pointer to it, in the form for encoding/json. It avoids an indirection, which matters
// for long lists. A single record implements json.Marshaler.
func Document(record any) any {
	from := reflect.ValueOf(record).Elem()
	form := forms()[from.Type()]
	to := reflect.New(form.typ)
	for i, f := range form.fields {
		f.as.write(to.Elem().Field(i), from.FieldByIndex(f.index))
	}
	return to.Interface()
}

// marshal is for records inside other records.
func marshal(record any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // whoever writes the whole document decides that
	err := enc.Encode(Document(record))
	return out.Bytes(), err
}

// write copies a field from the record to the form.
func (a as) write(to, from reflect.Value) {
	switch a {
	case asTime:
		if t := from.Addr().Interface().(*time.Time); !t.IsZero() {
			to.Set(reflect.ValueOf(new(t.UnixMicro())))
		}
	case asDuration:
		if d := time.Duration(from.Int()); d >= 0 {
			to.Set(reflect.ValueOf(new(d.Microseconds())))
		}
	case asPrefix:
		if p := from.Addr().Interface().(*netip.Prefix); p.IsValid() {
			to.SetString(FormatPrefix(*p))
		}
	case asList:
		if to.Set(from); to.IsNil() {
			to.Set(reflect.MakeSlice(to.Type(), 0, 0))
		}
	default:
		to.Set(from)
	}
}

// DocumentReader reads documents of one record, for example of a long list, with the same memory for each.
type DocumentReader struct {
	form  form
	from  reflect.Value
	times []int64 // room for the numbers of the fields
}

// absent is in the room of a time that a document does not have.
const absent = math.MinInt64

// NewDocumentReader returns a reader for records of the type that the pointer is of.
func NewDocumentReader(record any) *DocumentReader {
	form := forms()[reflect.TypeOf(record).Elem()]
	return &DocumentReader{form, reflect.New(form.typ), make([]int64, len(form.fields))}
}

// Read reads the next document from dec into a record, given by a pointer to it.
func (r *DocumentReader) Read(dec *json.Decoder, record any) error {
	from := r.from.Elem()
	from.SetZero()
	for i, f := range r.form.fields {
		if f.as == asTime || f.as == asDuration {
			r.times[i] = absent
			from.Field(i).Set(reflect.ValueOf(&r.times[i]))
		}
	}
	if err := dec.Decode(r.from.Interface()); err != nil {
		return err
	}
	to := reflect.ValueOf(record).Elem()
	for i, f := range r.form.fields {
		if err := f.as.read(to.FieldByIndex(f.index), from.Field(i)); err != nil {
			return fmt.Errorf("%s: %w", r.form.typ.Field(i).Tag.Get("json"), err)
		}
	}
	return nil
}

func unmarshal(text []byte, record any) error {
	if string(text) == "null" {
		return nil
	}
	return NewDocumentReader(record).Read(json.NewDecoder(bytes.NewReader(text)), record)
}

// read copies a field from a document to the record.
func (a as) read(to, from reflect.Value) (err error) {
	switch a {
	case asTime:
		to.SetZero()
		if us := from.Interface().(*int64); us != nil && *us != absent {
			*to.Addr().Interface().(*time.Time) = time.UnixMicro(*us)
		}
	case asDuration:
		d := time.Duration(-1)
		if us := from.Interface().(*int64); us != nil && *us != absent {
			d, err = Micros(*us)
		}
		to.SetInt(int64(d))
	case asPrefix:
		to.SetZero()
		if text := from.String(); text != "" {
			*to.Addr().Interface().(*netip.Prefix), err = ParsePrefix(text)
		}
	default:
		to.Set(from)
	}
	return err
}

// Micros turns a number of microseconds into a duration. Its errors are ErrInvalid.
func Micros(us int64) (time.Duration, error) {
	if us < 0 || us > math.MaxInt64/int64(time.Microsecond) {
		return 0, invalid(fmt.Sprintf("a duration of %d µs", us))
	}
	return time.Duration(us) * time.Microsecond, nil
}

// MarshalJSON implements json.Marshaler.
func (b Ban) MarshalJSON() ([]byte, error) {
	if b == (Ban{}) {
		return []byte("null"), nil
	}
	return marshal(&b)
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *Ban) UnmarshalJSON(text []byte) error { return unmarshal(text, b) }

// MarshalJSON implements json.Marshaler.
func (h Host) MarshalJSON() ([]byte, error) { return marshal(&h) }

// UnmarshalJSON implements json.Unmarshaler.
func (h *Host) UnmarshalJSON(text []byte) error { return unmarshal(text, h) }

// MarshalJSON implements json.Marshaler.
func (j JailStatus) MarshalJSON() ([]byte, error) { return marshal(&j) }

// UnmarshalJSON implements json.Unmarshaler.
func (j *JailStatus) UnmarshalJSON(text []byte) error { return unmarshal(text, j) }

// MarshalJSON implements json.Marshaler.
func (d Day) MarshalJSON() ([]byte, error) { return marshal(&d) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Day) UnmarshalJSON(text []byte) error { return unmarshal(text, d) }

// MarshalJSON implements json.Marshaler.
func (l Blocklist) MarshalJSON() ([]byte, error) { return marshal(&l) }

// UnmarshalJSON implements json.Unmarshaler.
func (l *Blocklist) UnmarshalJSON(text []byte) error { return unmarshal(text, l) }

// MarshalJSON implements json.Marshaler.
func (s Status) MarshalJSON() ([]byte, error) { return marshal(&s) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Status) UnmarshalJSON(text []byte) error { return unmarshal(text, s) }

// MarshalJSON implements json.Marshaler.
func (o Overview) MarshalJSON() ([]byte, error) { return marshal(&o) }

// UnmarshalJSON implements json.Unmarshaler.
func (o *Overview) UnmarshalJSON(text []byte) error { return unmarshal(text, o) }

// MarshalJSON implements json.Marshaler.
func (a Address) MarshalJSON() ([]byte, error) { return marshal(&a) }

// UnmarshalJSON implements json.Unmarshaler.
func (a *Address) UnmarshalJSON(text []byte) error { return unmarshal(text, a) }

// MarshalJSON implements json.Marshaler.
func (s Standing) MarshalJSON() ([]byte, error) { return marshal(&s) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Standing) UnmarshalJSON(text []byte) error { return unmarshal(text, s) }

// MarshalJSON implements json.Marshaler.
func (h Held) MarshalJSON() ([]byte, error) { return marshal(&h) }

// UnmarshalJSON implements json.Unmarshaler.
func (h *Held) UnmarshalJSON(text []byte) error { return unmarshal(text, h) }

// MarshalJSON implements json.Marshaler.
func (n Name) MarshalJSON() ([]byte, error) { return marshal(&n) }

// UnmarshalJSON implements json.Unmarshaler.
func (n *Name) UnmarshalJSON(text []byte) error { return unmarshal(text, n) }

// MarshalJSON implements json.Marshaler.
func (e Event) MarshalJSON() ([]byte, error) { return marshal(&e) }

// UnmarshalJSON implements json.Unmarshaler.
func (e *Event) UnmarshalJSON(text []byte) error { return unmarshal(text, e) }
