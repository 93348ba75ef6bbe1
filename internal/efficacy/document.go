package efficacy

import (
	"fmt"
	"os"
	"strings"
)

// What a document has around the table.
const (
	beginTable = "<!-- table: written by make efficacy -->\n"
	endTable   = "<!-- end of table -->\n"
)

// Replace puts the table into the document, in place of the one between its marks.
func Replace(document, table string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), beginTable)
	_, after, ended := strings.Cut(rest, endTable)
	if !ok || !ended {
		return fmt.Errorf("%s: lacks the lines %q and %q that the table goes between", document, beginTable, endTable)
	}
	text = []byte(before + beginTable + table + endTable + after)
	return os.WriteFile(document, text, 0o644)
}
