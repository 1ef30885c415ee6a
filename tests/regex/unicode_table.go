// Prints the text of engine/regex/unicode_table.py: `go run tests/regex/unicode_table.go > engine/regex/unicode_table.py`.
//
// Go's own tables, so that `\p{...}` means here what it means for OPA.
package main

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
)

func ranges(t *unicode.RangeTable) string {
	var out []string
	low, high := -1, -2
	for r := 0; r <= unicode.MaxRune+1; r++ {
		if r <= unicode.MaxRune && unicode.Is(t, rune(r)) {
			if r != high+1 {
				low = r
			}
			high = r
			continue
		}
		if low >= 0 && r == high+1 {
			if low == high {
				out = append(out, fmt.Sprintf("%x", low))
			} else {
				out = append(out, fmt.Sprintf("%x-%x", low, high))
			}
		}
	}
	return strings.Join(out, " ")
}

func show(name string, tables map[string]*unicode.RangeTable, wanted func(string) bool) {
	var names []string
	for n := range tables {
		if wanted(n) {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	fmt.Printf("\n%s = \"\"\"\n", name)
	for _, n := range names {
		fmt.Println(n, ranges(tables[n]))
	}
	fmt.Println("\"\"\"")
}

func main() {
	fmt.Printf("\"\"\"General categories and scripts of Unicode %s: a name and its ranges in hex a line.\n\n", unicode.Version)
	fmt.Print("Made by `tests/regex/unicode_table.go`; do not edit.\n\"\"\"\n\nfrom __future__ import annotations\n")
	show("CATEGORIES", unicode.Categories, func(n string) bool { return len(n) == 2 && n != "LC" && n != "Cn" })
	var aliases []string
	for alias, name := range unicode.CategoryAliases {
		aliases = append(aliases, alias+" "+name)
	}
	sort.Strings(aliases)
	fmt.Printf("\nALIASES = \"\"\"\n%s\n\"\"\"\n", strings.Join(aliases, "\n"))
	show("SCRIPTS", unicode.Scripts, func(string) bool { return true })
}
