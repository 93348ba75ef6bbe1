package browser

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Page is a tab.
type Page struct {
	wire    *wire
	session string

	mu       sync.Mutex // events come while the page is used
	problems []string
}

// Problems are what the page has done wrong so far: errors and warnings on the console, exceptions, violations of its content
// security policy, missing files.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.problems)
}

func (p *Page) add(problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = append(p.problems, problem)
}

func (p *Page) call(ctx context.Context, method string, params object, result any) error {
	return p.wire.call(ctx, p.session, method, params, result)
}

// Visit goes to an address.
func (p *Page) Visit(ctx context.Context, url string) error {
	var result struct{ ErrorText string }
	if err := p.call(ctx, "Page.navigate", object{"url": url}, &result); err != nil {
		return err
	}
	if result.ErrorText != "" {
		return fmt.Errorf("go to %s: %s", url, result.ErrorText)
	}
	return nil
}

// Eval evaluates an expression in the page and stores its value, or that of its promise, in value unless value is nil.
func (p *Page) Eval(ctx context.Context, expression string, value any) error {
	var result struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	result.Result.Value = value
	params := object{"expression": expression, "returnByValue": true, "awaitPromise": true}
	if err := p.call(ctx, "Runtime.evaluate", params, &result); err != nil {
		return err
	}
	if e := result.ExceptionDetails; e != nil {
		return fmt.Errorf("%s: %s %s", expression, e.Text, e.Exception.Description)
	}
	return nil
}

// Wait waits until a condition is true. The caller's ctx limits how long; the error says what the page shows then.
func (p *Page) Wait(ctx context.Context, condition string) error {
	for {
		var is bool
		err := p.Eval(ctx, "!!("+condition+")", &is)
		if err == nil && is {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; the page shows:\n%s", condition, errors.Join(err, ctx.Err()),
				p.text(context.WithoutCancel(ctx)))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *Page) text(ctx context.Context) (text string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_ = p.Eval(ctx, "document.body.innerText", &text) // only for an error message
	return text
}

// Click waits for an element and clicks in its middle, on whatever is there.
func (p *Page) Click(ctx context.Context, selector string) error {
	if err := p.Wait(ctx, fmt.Sprintf("document.querySelector(%q)", selector)); err != nil {
		return err
	}
	var at struct{ X, Y float64 }
	where := fmt.Sprintf(`(e => {
		e.scrollIntoView({ block: "center" });
		const r = e.getBoundingClientRect();
		return { x: r.x + r.width / 2, y: r.y + r.height / 2 };
	})(document.querySelector(%q))`, selector)
	if err := p.Eval(ctx, where, &at); err != nil {
		return err
	}
	for _, what := range []string{"mousePressed", "mouseReleased"} {
		params := object{"type": what, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}
		if err := p.call(ctx, "Input.dispatchMouseEvent", params, nil); err != nil {
			return err
		}
	}
	return nil
}

// Type clicks an element and types the text.
func (p *Page) Type(ctx context.Context, selector, text string) error {
	if err := p.Click(ctx, selector); err != nil {
		return err
	}
	return p.call(ctx, "Input.insertText", object{"text": text}, nil)
}

// Screenshot returns the page as a PNG.
func (p *Page) Screenshot(ctx context.Context) ([]byte, error) {
	var result struct{ Data []byte }
	err := p.call(ctx, "Page.captureScreenshot", object{"captureBeyondViewport": true}, &result)
	return result.Data, err
}

// Prefer sets the page's colour scheme, "dark" or "light".
func (p *Page) Prefer(ctx context.Context, scheme string) error {
	return p.Show(ctx, scheme, "")
}

// Show shows the page in a colour scheme, "dark" or "light", and as on a medium, "print", or "" for a screen.
func (p *Page) Show(ctx context.Context, scheme, media string) error {
	features := []object{{"name": "prefers-color-scheme", "value": scheme}}
	return p.call(ctx, "Emulation.setEmulatedMedia", object{"features": features, "media": media}, nil)
}

// Resize gives the page that many pixels of width and height, on a phone's screen or on another.
func (p *Page) Resize(ctx context.Context, width, height int, phone bool) error {
	scale := 1
	if phone {
		scale = 2
	}
	return p.call(ctx, "Emulation.setDeviceMetricsOverride", object{"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}, nil)
}
