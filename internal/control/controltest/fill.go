package controltest

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// Fill sets every field of a record, given by a pointer to it, so that a test notices what a face leaves out.
func Fill(record any) { fill(reflect.ValueOf(record).Elem(), 1) }

func fill(v reflect.Value, n int) {
	switch f := v.Addr().Interface().(type) {
	case *time.Time:
		*f = time.UnixMicro(int64(1_700_000_000_000_000 + n))
		return
	case *time.Duration:
		*f = time.Duration(n) * time.Microsecond
		return
	case *netip.Prefix:
		*f = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 32)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n+i)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n+i)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d <&> \u2028 \"quoted\"", n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(n))
	case reflect.Uint64:
		v.SetUint(uint64(n))
	default:
		panic(fmt.Sprintf("controltest: no value for a %s", v.Type()))
	}
}
