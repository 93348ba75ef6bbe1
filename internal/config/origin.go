package config

import (
	"cmp"
	"errors"
	"path"
)

// This file says where a value comes from.

// explain adds the place and the key to a mistake.
func (v value) explain(key string, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*Problem](err); ok { // inside of the value
		return problem(p.File, p.Line, "%s: %s", key, p.Text)
	}
	if text := flattened(key, v); text != "" {
		return problem(v.file, v.line, "%s: %s", key, text)
	}
	if text := translated(key, v); text != "" {
		return problem(v.file, v.line, "%s: %q: %s", key, v.text, text)
	}
	return problem(v.file, v.line, "%s: %s", key, err)
}

// Origin returns "file:line" of the value of a key in a jail ("" for the whole daemon), for messages about it; or of the jail itself if no file
// sets the key.
func (c *Config) Origin(jailName, key string) string {
	v, ok := c.tree.globals[key]
	if jailName != "" {
		if v, ok = c.tree.lookup(jailName, key); !ok || v.layer == 0 {
			v, ok = c.tree.named[jailName]
		}
	}
	if !ok {
		return builtinName
	}
	return v.origin()
}

func (v value) origin() string {
	if v.layer == 0 {
		return cmp.Or(v.file, builtinName)
	}
	return (&Problem{File: path.Clean(v.file), Line: v.line}).position()
}
