// Command report replays the login attempts of a folder and prints what each detector would have prevented.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"exile/internal/efficacy"
)

func main() {
	data := flag.String("data", "", "folder of *.tsv.gz files: start, last failure, address, user, guesses, success, unknown, method")
	format := flag.String("format", "table", "table or json")
	document := flag.String("document", "", "file whose table is replaced, too")
	synthetic := flag.Uint64("synthetic", 0, "print the made-up host of this seed in the format of the files, and nothing else")
	flag.Parse()
	var err error
	switch {
	case *synthetic > 0:
		err = efficacy.WriteTSV(os.Stdout, efficacy.Synthetic(*synthetic).Rows)
	case *format != "table" && *format != "json":
		err = fmt.Errorf("format %q: must be table or json", *format)
	default:
		err = run(*data, *format, *document)
	}
	if err != nil {
		warn(err)
		os.Exit(1)
	}
}

func warn(err error) { fmt.Fprintln(os.Stderr, "efficacy:", err) }

func run(data, format, document string) error {
	hosts, err := efficacy.LoadDir(data, warn)
	if err != nil {
		return err
	}
	if format == "json" {
		return json.NewEncoder(os.Stdout).Encode(efficacy.Run(hosts, efficacy.MainRules()))
	}
	rules := efficacy.Rules()
	table := efficacy.Run(hosts, rules).Table(rules)
	fmt.Print(table)
	if document == "" {
		return nil
	}
	return efficacy.Replace(document, table)
}
