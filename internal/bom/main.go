// Command bom writes the bill of materials of the packages, in CycloneDX's JSON: the programs with their hashes, and the modules
// that are linked into each, as the programs themselves say. The licenses are those of the packages' copyright file.
//
//	bom VERSION COPYRIGHT PROGRAM... >exile.cdx.json
//
// The same programs give the same bytes: there is neither a serial number nor a time in it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: bom VERSION COPYRIGHT PROGRAM...")
		os.Exit(2)
	}
	b, err := materials(os.Args[1], os.Args[2], os.Args[3:])
	if err == nil {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bom:", err)
		os.Exit(1)
	}
}
