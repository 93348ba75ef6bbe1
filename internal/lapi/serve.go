package lapi

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	"exile/internal/control"
)

// Limits on what a client may cost.
const (
	maxHeader  = 8 << 10 // bytes
	readTime   = 10 * time.Second
	writeTime  = 2 * time.Minute // for all of an answer; a bouncer asks again every 10 s
	idleTime   = time.Minute
	atOnce     = 4 // answers; others wait
	bufferSize = 32 << 10
)

// Server answers bouncers.
type Server struct {
	book *Book
	keys Keys
	log  *slog.Logger
	turn chan struct{}
	now  func() time.Time
}

// NewServer returns a server for a book.
func NewServer(book *Book, keys Keys, log *slog.Logger) *Server {
	return &Server{book: book, keys: keys, log: log, turn: make(chan struct{}, atOnce), now: time.Now}
}

// HTTP returns the server that listens.
func (s *Server) HTTP() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/decisions", s.allow(s.decisions))
	mux.HandleFunc("GET /v1/decisions/stream", s.allow(s.stream))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "exile-lapi has GET /v1/decisions and GET /v1/decisions/stream, and nothing else")
	})
	return &http.Server{
		Handler: mux, MaxHeaderBytes: maxHeader, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // what clients do wrong
	}
}

// refuse answers with an error in CrowdSec's form.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// allow lets those in who have a key, a few at a time.
func (s *Server) allow(answer func(http.ResponseWriter, *http.Request, query, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		keys, err := s.keys.Read() // at each request: a key that was removed opens nothing any more
		if err != nil {
			s.log.Error("Nobody is let in", "error", err)
		}
		name, known := Whose(keys, r.Header.Get("X-Api-Key"))
		if !known {
			refuse(w, http.StatusForbidden, "access forbidden")
			return
		}
		q, err := parseQuery(r.URL.Query())
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		if !s.book.Ready() {
			refuse(w, http.StatusServiceUnavailable, "exiled has not yet said whom it bans")
			return
		}
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodHead { // which must not count as read
			answer(w, r, q, name)
		}
	}
}

// stream answers with what has changed since the bouncer asked last.
func (s *Server) stream(w http.ResponseWriter, _ *http.Request, q query, bouncer string) {
	mark, since := s.book.Mark(bouncer)
	if q.startup {
		since = 0
	}
	out := &writer{w: bufio.NewWriterSize(w, bufferSize), q: q}
	out.text(`{"new":[`)
	out.fail(s.book.New(since, mark, s.now(), out.decision))
	out.text(`],"deleted":[`)
	out.first = false
	out.fail(s.book.Deleted(since, mark, s.now(), out.decision))
	out.text("]}\n")
	if out.fail(out.w.Flush()); out.err != nil {
		s.log.Debug("A bouncer did not take its answer", "bouncer", bouncer, "error", out.err)
		return // it gets the same again
	}
	s.book.Seen(bouncer, mark)
}

// decisions answers about one address or network, or with all. If there are no decisions,
// it writes null, as CrowdSec does and bouncers expect.
func (s *Server) decisions(w http.ResponseWriter, _ *http.Request, q query, bouncer string) {
	out := &writer{w: bufio.NewWriterSize(w, bufferSize), q: q, opening: "["}
	mark, _ := s.book.Mark(bouncer)
	if q.about.IsValid() && q.contains {
		for _, d := range s.book.Covering(q.about, s.now()) {
			out.fail(out.decision(d))
		}
	} else {
		out.fail(s.book.New(0, mark, s.now(), out.decision))
	}
	if out.first {
		out.text("]\n")
	} else {
		out.text("null\n")
	}
	out.fail(out.w.Flush())
}

// writer writes decisions that are asked for, until it fails.
type writer struct {
	w       *bufio.Writer
	q       query
	opening string // before the first
	first   bool   // one was written
	err     error
}

func (o *writer) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

func (o *writer) text(text string) {
	if o.err == nil {
		_, err := io.WriteString(o.w, text)
		o.fail(err)
	}
}

// record is a decision as CrowdSec writes it.
type record struct {
	Duration string `json:"duration"`
	ID       uint64 `json:"id"`
	Origin   string `json:"origin"`
	Scenario string `json:"scenario"`
	Scope    string `json:"scope"`
	Type     string `json:"type"`
	Value    string `json:"value"`
}

func (o *writer) decision(d Decision) error {
	if !o.q.wants(d) {
		return o.err
	}
	before := ","
	if !o.first {
		before, o.first = o.opening, true
	}
	text, err := json.Marshal(record{d.Left.String(), d.ID, origin, scenario(d.Jail), scope(d.Prefix), kind, control.FormatPrefix(d.Prefix)})
	o.fail(err)
	o.text(before)
	o.text(string(text))
	return o.err
}
