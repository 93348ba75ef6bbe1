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
	flag.Parse()
	if err := run(*data, *format); err != nil {
		fmt.Fprintln(os.Stderr, "efficacy:", err)
		os.Exit(1)
	}
}

func run(data, format string) error {
	hosts, err := efficacy.LoadDir(data)
	if err != nil {
		return err
	}
	rules := efficacy.Rules()
	rep := efficacy.Run(hosts, rules)
	if format == "json" {
		return json.NewEncoder(os.Stdout).Encode(rep)
	}
	fmt.Print(rep.Table(rules))
	return nil
}
