package main

import (
	"errors"
	"regexp"
	"strings"
)

// known are the licenses that exile's dependencies may have, each with the words that grant rights and set conditions. White
// space counts as one blank.
var known = []struct {
	name string
	says *regexp.Regexp
}{
	{"Expat", regexp.MustCompile(`Permission is hereby granted, free of charge, to any person obtaining a copy of this software.* subject to the following conditions: The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software\. THE SOFTWARE IS PROVIDED "AS IS"`)},
	{"BSD-3-clause", regexp.MustCompile(`Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met:.*[Nn]either the name.* THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS`)},
	{"BSD-2-clause", regexp.MustCompile(`Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met:.* THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS`)},
	{"ISC", regexp.MustCompile(`Permission to use, copy, modify, and(/or)? distribute this software for any purpose with or without fee is hereby granted, provided that the above copyright notice and this permission notice appear in all copies\.`)},
	{"Apache-2.0", regexp.MustCompile(`Licensed under the Apache License, Version 2\.0|` + regexp.QuoteMeta(apacheIsIn))},
	{"MPL-2.0", regexp.MustCompile(`Mozilla Public License, version 2\.0 1\. Definitions.* 3\.2\. Distribution of Executable Form`)},
	{"CC0-1.0", regexp.MustCompile(`CC0 1\.0 Universal.* Affirmer hereby overtly, fully, permanently, irrevocably and unconditionally waives`)},
}

// unwanted matches conditions beyond these licenses, and other licenses.
var unwanted = regexp.MustCompile(`(?i)Commons Clause|non-?commercial|All advertising materials|Good, not Evil|` +
	`TERMS AND CONDITIONS FOR USE, REPRODUCTION|GNU (AFFERO |LESSER |LIBRARY )?GENERAL PUBLIC LICENSE (as published|Version|v[23])`)

// kindsOf returns the names of the licenses in the text of a license file.
func kindsOf(text string) (kinds []string, err error) {
	text = strings.Join(strings.Fields(text), " ")
	for _, k := range known {
		if k.name == "BSD-2-clause" && len(kinds) > 0 && kinds[len(kinds)-1] == "BSD-3-clause" {
			continue // the same words plus one more clause
		}
		if k.says.MatchString(text) {
			kinds = append(kinds, k.name)
		}
	}
	if found := unwanted.FindString(text); found != "" {
		return nil, errors.New("the license says \"" + found + "\": look at it, and add it to internal/notices/license.go if exile may link it")
	}
	if len(kinds) == 0 {
		return nil, errors.New("the license is not known: look at it, and add it to internal/notices/license.go if exile may link it")
	}
	return kinds, nil
}

// terms finds the terms of the Apache License in other texts; one copy of it is installed.
type terms struct{ text *regexp.Regexp }

const apacheIsIn = "[The Apache License 2.0: see /usr/share/doc/exile/Apache-2.0]"

// newTerms takes the text of the license. Other copies break lines elsewhere, and some lack the letters of its list.
func newTerms(license string) terms {
	body, _, _ := strings.Cut(license, "END OF TERMS AND CONDITIONS")
	var b strings.Builder
	for w := range strings.FieldsSeq(body) {
		w = regexp.QuoteMeta(w)
		if len(w) == len(`\(a\)`) && w[2] >= 'a' && w[2] <= 'd' {
			w = `(?:` + w + `)?`
		}
		b.WriteString(`\s*` + w)
	}
	return terms{regexp.MustCompile(b.String() + `(\s*END OF TERMS AND CONDITIONS)?`)}
}

// cut replaces the terms by a reference.
func (t terms) cut(text string) string {
	return t.text.ReplaceAllLiteralString(text, "\n\n"+apacheIsIn)
}
