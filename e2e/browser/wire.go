package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// message is a request, a reply or an event of the DevTools protocol. On the pipe a zero byte ends each.
type message struct {
	ID      int             `json:"id,omitempty"` // zero: an event
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// wire is the connection to a browser.
type wire struct {
	to    io.Writer
	event func(message) // called in order, before any later answer is delivered
	gone  chan struct{} // closed when nothing more will come
	mu    sync.Mutex    // the callers' goroutines send, one reads
	last  int
	wait  map[int]chan message
}

func newWire(to io.Writer, from io.Reader, event func(message)) *wire {
	w := &wire{to: to, event: event, gone: make(chan struct{}), wait: map[int]chan message{}}
	go w.read(bufio.NewReader(from))
	return w
}

func (w *wire) read(from *bufio.Reader) {
	defer close(w.gone)
	for {
		data, err := from.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			return
		}
		if m.ID == 0 {
			w.event(m)
			continue
		}
		w.mu.Lock()
		reply := w.wait[m.ID]
		delete(w.wait, m.ID)
		w.mu.Unlock()
		if reply != nil {
			reply <- m
		}
	}
}

// call calls a method and reads its result into result, unless that is nil.
func (w *wire) call(ctx context.Context, session, method string, params, result any) error {
	reply, err := w.send(session, method, params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m := <-reply:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-w.gone:
		return fmt.Errorf("%s: %w", method, errGone)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

var errGone = errors.New("the browser has ended")

func (w *wire) send(session, method string, params any) (<-chan message, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	reply := make(chan message, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	w.wait[w.last] = reply
	data, err := json.Marshal(message{ID: w.last, Session: session, Method: method, Params: text})
	if err != nil {
		return nil, err
	}
	_, err = w.to.Write(append(data, 0))
	return reply, err
}
