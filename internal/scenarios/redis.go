package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// redisServer is a Redis that keeps nothing on disk.
type redisServer struct {
	port string
	cmd  *exec.Cmd
}

func (s *redisServer) start() error {
	s.cmd = exec.Command("redis-server", "--port", s.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for range 200 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+s.port); err == nil {
			return c.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.kill()
	return fmt.Errorf("redis-server does not listen at port %s", s.port)
}

// asked returns how many commands it has had since it began.
func (s *redisServer) asked() (int, error) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+s.port, time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("INFO stats\r\n")); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if n, ok := strings.CutPrefix(lines.Text(), "total_commands_processed:"); ok {
			return strconv.Atoi(strings.TrimSpace(n))
		}
	}
	return 0, errors.New("redis-server does not say how many commands it has had")
}

func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// freePort returns one that nobody listens at.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// The Redis behind a rate limit is killed under load, and comes back.
func redisGoes(w *world, r *report) error {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return fmt.Errorf("%w: redis-server is not installed", errSkip)
	}
	const rate, kill, back, length = 200, 5 * time.Second, 12 * time.Second, 18 * time.Second
	port, err := freePort()
	if err != nil {
		return err
	}
	redis := &redisServer{port: port}
	if err := redis.start(); err != nil {
		return err
	}
	w.later(func() { redis.kill() })
	const limited = `
upstreams: {app: {endpoints: [{url: "UPSTREAM"}]}}
stores: {shared: {redis: "redis://127.0.0.1:PORT/0", timeout: 50ms}}
policies: {rateLimit: {whole: {rate: 100000/s, burst: 100000, store: shared, onStoreFailure: local}}}
defaults: {use: {rateLimit: whole}}` + route
	all, err := w.contenders([2]string{"bare ReverseProxy", ""}, [2]string{"sidecar, rateLimit in Redis", strings.ReplaceAll(limited, "PORT", port)})
	if err != nil {
		return err
	}
	var asked [2]int // before it was killed, and since it is back
	var problems [3]error
	once := func(do func()) func(c *contender) {
		return func(c *contender) {
			if c == all[1] {
				do()
			}
		}
	}
	contend(load{rate: rate, length: length, patience: 5 * time.Second}, all,
		turn{kill, once(func() {
			asked[0], problems[0] = redis.asked()
			redis.kill()
		})},
		turn{back, once(func() { problems[1] = redis.start() })},
		turn{length, once(func() { asked[1], problems[2] = redis.asked() })})
	if err := errors.Join(problems[:]...); err != nil {
		return err
	}

	r.say(`%d requests a second, each of which a rate limit asks Redis about, with a timeout of 50 ms and onStoreFailure: local. After %v Redis is
		killed, and after %v it is back. The bare ReverseProxy asks nobody.`, rate, kill, back)
	r.table(bySpan(all, span{"Redis is there", time.Second, kill}, span{"Redis is dead", kill, back}, span{"Redis is back", back, length})...)
	r.lateness(all)
	s := all[1].samples
	r.promise(len(s) == len(s.good()), "no request fails because of it, got %d of %d", len(s)-len(s.good()), len(s))
	r.promise(asked[0] >= rate*int(kill/time.Second)/2 && asked[1] >= rate*int((length-back)/time.Second)/2,
		"Redis is asked, and again when it is back: %d commands, and %d", asked[0], asked[1])
	dead := s.between(kill+time.Second, back)
	r.told(dead.quantile(0.99) < 20*time.Millisecond, "a second after its death it costs nothing: p99 %s", dead.millis(0.99))
	return nil
}
