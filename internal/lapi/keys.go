package lapi

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Keys is a file with the names of bouncers and the SHA-256 of their keys, one per line. A key is 256 random bits, which nobody finds from its
// hash, however often he tries.
type Keys struct{ Path string }

// Key is a bouncer in the file.
type Key struct {
	Name string
	hash [sha256.Size]byte
}

// mostKeys is how many bouncers there may be: each request is compared with all of them.
const mostKeys = 256

var nameOf = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Read returns the bouncers in the file; without a file there are none.
func (k Keys) Read() ([]Key, error) {
	data, err := os.ReadFile(k.Path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	var all []Key
	for s, n := bufio.NewScanner(bytes.NewReader(data)), 1; s.Scan(); n++ {
		text, _, _ := strings.Cut(s.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		key, err := parseKey(words)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", k.Path, n, err)
		}
		if all = append(all, key); len(all) > mostKeys {
			return nil, fmt.Errorf("%s has more than %d keys", k.Path, mostKeys)
		}
	}
	return all, nil
}

func parseKey(words []string) (Key, error) {
	hash, err := hex.DecodeString(words[len(words)-1])
	if len(words) != 2 || !nameOf.MatchString(words[0]) || err != nil || len(hash) != sha256.Size {
		return Key{}, errors.New("want a name and the SHA-256 of a key, as exile-lapi add-key writes them")
	}
	return Key{words[0], [sha256.Size]byte(hash)}, nil
}

// Add makes a key for a bouncer, and returns it. It is shown once: the file has only its hash.
func (k Keys) Add(name string) (string, error) {
	all, err := k.Read()
	switch {
	case err != nil:
		return "", err
	case !nameOf.MatchString(name):
		return "", fmt.Errorf("%q is no name for a bouncer: at most 64 letters, digits, dots, hyphens and underscores", name)
	case slices.ContainsFunc(all, func(o Key) bool { return o.Name == name }):
		return "", fmt.Errorf("%s has a key already: use exile-lapi remove-key %s first", name, name)
	case len(all) == mostKeys:
		return "", fmt.Errorf("%s has %d keys, which is the limit", k.Path, mostKeys)
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	key := base64.RawURLEncoding.EncodeToString(secret[:])
	return key, k.write(append(all, Key{name, sha256.Sum256([]byte(key))}))
}

// Remove removes the key of a bouncer.
func (k Keys) Remove(name string) error {
	all, err := k.Read()
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all), func(o Key) bool { return o.Name == name })
	if len(left) == len(all) {
		return fmt.Errorf("%s has no key of %q", k.Path, name)
	}
	return k.write(left)
}

// write replaces the file.
func (k Keys) write(all []Key) error {
	var text bytes.Buffer
	for _, key := range all {
		fmt.Fprintf(&text, "%s %x\n", key.Name, key.hash)
	}
	f, err := os.CreateTemp(filepath.Dir(k.Path), ".keys-*")
	if err != nil {
		return fmt.Errorf("write the keys: %w", err)
	}
	_, err = f.Write(text.Bytes())
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()) // the service's user reads it
	if err == nil {
		err = os.Rename(f.Name(), k.Path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write the keys: %w", err)
	}
	return nil
}

// Whose returns the bouncer that has a key. How long it takes tells nothing about keys.
func Whose(all []Key, key string) (name string, known bool) {
	hash := sha256.Sum256([]byte(key))
	for _, k := range all {
		if subtle.ConstantTimeCompare(hash[:], k.hash[:]) == 1 {
			name, known = k.Name, true
		}
	}
	return name, known
}
