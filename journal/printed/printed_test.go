package printed

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxLine+10)
	r := bufio.NewReaderSize(strings.NewReader("a\n\n"+long+"\nb\r\nlast"), MaxLine)
	var got []string
	for {
		line, err := ReadLine(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
	if diff := cmp.Diff([]string{"a", "", long[:MaxLine], "b\r", "last"}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
