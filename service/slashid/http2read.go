package slashid

import (
	"context"
	"errors"
	"time"

	"golang.org/x/net/http2"
)

// readAll is the reader: it reads until the connection ends.
func (c *http2Conn) readAll() {
	for {
		frame, err := c.framer.ReadFrame()
		c.read.Store(int64(time.Since(c.born)))
		if broken, ok := errors.AsType[http2.StreamError](err); ok {
			c.reject(broken.StreamID)
			continue
		}
		if err == nil {
			err = c.receive(frame)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// receive takes one frame. An error ends the connection.
func (c *http2Conn) receive(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		c.receiveHeaders(f)
	case *http2.DataFrame:
		c.receiveData(f)
	case *http2.RSTStreamFrame:
		c.receiveReset(f)
	case *http2.WindowUpdateFrame:
		return c.receiveWindow(f)
	case *http2.SettingsFrame:
		return c.receiveSettings(f)
	case *http2.PingFrame:
		return c.receivePing(f)
	case *http2.GoAwayFrame:
		c.receiveGoAway(f)
	case *http2.PushPromiseFrame:
		return errPush
	}
	return nil
}

// receiveHeaders takes the head of an answer, or what follows its body.
func (c *http2Conn) receiveHeaders(f *http2.MetaHeadersFrame) {
	c.mu.Lock()
	s := c.streams[f.StreamID]
	if s == nil {
		c.mu.Unlock()
		return
	}
	wellFormed := !f.Truncated && s.takeHead(f)
	c.mu.Unlock()
	switch {
	case !wellFormed:
		c.reject(f.StreamID)
	case f.StreamEnded():
		c.finish(s)
	}
}

// takeHead takes a head. It is false where that is none. The caller holds the lock.
func (s *stream) takeHead(f *http2.MetaHeadersFrame) bool {
	if s.answer.status != 0 {
		return f.StreamEnded() // what follows the body says nothing that matters
	}
	status, ok := parseStatus(f.PseudoValue("status"))
	if !ok {
		return false
	}
	if status < 200 {
		s.informed++
		return s.informed <= maxInformational && !f.StreamEnded()
	}
	s.answer.protocol, s.answer.status = "2", status
	for _, field := range f.RegularFields() {
		switch {
		case field.Name == headerCorrelationID.lower && s.answer.correlationID == "":
			s.answer.correlationID = field.Value
		case field.Name == headerRetryAfter.lower && s.answer.retryAfter == "":
			s.answer.retryAfter = field.Value
		}
	}
	if !f.StreamEnded() {
		s.patience = time.AfterFunc(bodyPatience, func() { s.finishEarly(context.DeadlineExceeded) })
	}
	return true
}

// receiveData takes a part of an answer's body, and has the peer know of it: another
// stream may need the room.
func (c *http2Conn) receiveData(f *http2.DataFrame) {
	c.taken += f.Length
	c.mu.Lock()
	if c.taken >= initialWindow/2 {
		c.todo.credit += c.taken
		c.taken = 0
		c.work.Signal()
	}
	s := c.streams[f.StreamID]
	if s == nil {
		c.mu.Unlock()
		return
	}
	hasHead := s.answer.status != 0
	s.answer.body = append(s.answer.body, f.Data()...)
	whole := len(s.answer.body) < maxBody
	c.mu.Unlock()
	switch {
	case !hasHead:
		c.reject(f.StreamID)
	case f.StreamEnded():
		c.finish(s)
	case !whole:
		s.finishEarly(nil)
	}
}

// finish ends a stream whose answer is there.
func (c *http2Conn) finish(s *stream) {
	c.mu.Lock()
	known := c.isOpen(s)
	if known {
		c.forget(s)
	}
	unread := !s.written
	if known && unread {
		// RFC 9113 section 8.1: the peer does not want the rest of the request.
		c.todo.resets = append(c.todo.resets, reset{s.id, http2.ErrCodeCancel})
	}
	c.mu.Unlock()
	if !known {
		return
	}
	if unread {
		c.work.Signal()
	}
	c.pool.freed(c, 1) // before whoever waits is told: the next one finds it free
	s.exchange.answered(s.answer)
}

// finishEarly ends a stream that is not worth waiting for, for there is nothing to come
// but the rest of a body. err is why that is missing.
func (s *stream) finishEarly(err error) {
	if !s.takeOut(http2.ErrCodeCancel) {
		return
	}
	s.answer.bodyErr = err
	s.conn.pool.freed(s.conn, 1)
	s.exchange.answered(s.answer)
}

// reject ends a stream in which the peer breaks a rule.
func (c *http2Conn) reject(id uint32) {
	c.mu.Lock()
	s := c.streams[id]
	c.mu.Unlock()
	if s != nil && s.takeOut(http2.ErrCodeProtocol) {
		c.pool.freed(c, 1)
		s.breakOff(errMalformed)
	}
}

// receiveReset ends a stream that the peer has ended.
func (c *http2Conn) receiveReset(f *http2.RSTStreamFrame) {
	c.mu.Lock()
	s := c.streams[f.StreamID]
	if s != nil {
		c.forget(s)
	}
	c.mu.Unlock()
	if s != nil {
		c.pool.freed(c, 1)
		s.breakOff(errReset)
	}
}

// receiveWindow lets more be written.
func (c *http2Conn) receiveWindow(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	window := &c.window
	if s := c.streams[f.StreamID]; s != nil {
		window = &s.window
	} else if f.StreamID != 0 {
		window = new(int64) // of a stream that is over
	}
	*window += int64(f.Increment)
	tooLarge := *window > maxWindow
	if len(c.blocked) > 0 {
		c.unblock()
		c.work.Signal()
	}
	c.mu.Unlock()
	switch {
	case tooLarge && f.StreamID == 0:
		return errWindow
	case tooLarge:
		c.reject(f.StreamID)
	}
	return nil
}

// receiveSettings takes settings, and says so.
func (c *http2Conn) receiveSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	limit, err := c.settle(f)
	if err != nil {
		return err
	}
	c.pool.resize(c, limit)
	surplus, err := c.acknowledge(limit >= 0)
	for _, s := range surplus {
		c.pool.freed(c, 1)
		c.pool.begin(s.exchange)
	}
	return err
}

// acknowledge has the peer told that its settings are known, once the pool knows them.
// What is begun after that must keep to them: when they limit requests, those that have
// not begun are the pool's to give out anew.
func (c *http2Conn) acknowledge(limited bool) (surplus []*stream, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limited {
		surplus = c.unsent()
	}
	c.todo.acks++
	if c.todo.acks > maxOwed {
		err = errFlood
	}
	c.work.Signal()
	return surplus, err
}

// settle takes settings. limit is how many requests the peer takes, -1 where it does not
// say.
func (c *http2Conn) settle(f *http2.SettingsFrame) (limit int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit = -1
	err = f.ForeachSetting(func(setting http2.Setting) error {
		if err := setting.Valid(); err != nil {
			return err
		}
		switch setting.ID {
		case http2.SettingMaxConcurrentStreams:
			limit = int(min(setting.Val, maxStreams))
		case http2.SettingInitialWindowSize:
			change := int64(setting.Val) - c.streamWindow
			c.streamWindow += change
			for _, s := range c.streams {
				s.window += change
			}
			c.unblock()
		case http2.SettingHeaderTableSize:
			if !c.todo.resized || setting.Val < c.todo.smallest {
				c.todo.smallest = setting.Val
			}
			c.todo.resized, c.todo.table = true, setting.Val
		default: // is nothing of ours
		}
		return nil
	})
	return limit, err
}

// receivePing answers a ping.
func (c *http2Conn) receivePing(f *http2.PingFrame) error {
	if f.IsAck() {
		return nil // it has been read, which is all that matters
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.todo.pongs) == maxOwed {
		return errFlood
	}
	c.todo.pongs = append(c.todo.pongs, f.Data)
	c.work.Signal()
	return nil
}

// receiveGoAway ends the streams that the peer disowns, and begins no more. It may have
// carried their requests out all the same: only its word says that it has not.
func (c *http2Conn) receiveGoAway(f *http2.GoAwayFrame) {
	c.mu.Lock()
	c.toldLast = true
	disowned := c.streamsFrom(f.LastStreamID + 1)
	unsent := c.unsent()
	c.mu.Unlock()
	c.pool.unshare(c)
	for _, s := range disowned {
		s.breakOff(errGoAway)
	}
	c.pool.freed(c, len(disowned))
	for _, s := range unsent {
		s.decline()
	}
}
