package ratelimit

import (
	"strings"
	"testing"
	"time"
)

// problems are what Validate reports, by field.
func problems(validate func(func(field, problem string))) map[string]string {
	found := map[string]string{}
	validate(func(field, problem string) { found[field] = problem })
	return found
}

func TestStoreConfigs(t *testing.T) {
	tests := []struct {
		name  string
		c     StoreConfig
		wrong string // the field; "-" for none
	}{
		{"a Redis", StoreConfig{RedisURL: "redis://redis:6379/0"}, "-"},
		{"no port, no database", StoreConfig{RedisURL: "redis://redis"}, "-"},
		{"TLS and a user", StoreConfig{RedisURL: "rediss://sidecar@[::1]:7000/15"}, "-"},
		{"a service", StoreConfig{Service: "ratelimit:8081", Domain: "orders"}, "-"},
		{"nothing", StoreConfig{}, ""},
		{"both", StoreConfig{RedisURL: "redis://redis", Service: "a:1", Domain: "d"}, "rls"},
		{"another scheme", StoreConfig{RedisURL: "http://redis:6379"}, "redis"},
		{"a path that is no number", StoreConfig{RedisURL: "redis://redis:6379/zero"}, "redis"},
		{"options", StoreConfig{RedisURL: "redis://redis:6379/0?max_retries=7"}, "redis"},
		{"no host", StoreConfig{RedisURL: "redis://:6379"}, "redis"},
		{"port 0", StoreConfig{RedisURL: "redis://redis:0"}, "redis"},
		{"a service without a port", StoreConfig{Service: "ratelimit", Domain: "d"}, "rls"},
		{"a service as a URL", StoreConfig{Service: "http://ratelimit:8081", Domain: "d"}, "rls"},
		{"a service without a domain", StoreConfig{Service: "a:1"}, ""},
		{"a service with a password", StoreConfig{Service: "a:1", Domain: "d", PasswordFile: "f"}, "passwordFile"},
		{"braces, which a cluster reads", StoreConfig{RedisURL: "redis://redis", Prefix: "{a}"}, "prefix"},
		{"an hour", StoreConfig{RedisURL: "redis://redis", Timeout: time.Hour}, "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.c.Timeout == 0 {
				tt.c.Timeout = time.Second
			}
			got := problems(func(report func(string, string)) { tt.c.Validate(report) })
			if _, ok := got[tt.wrong]; ok != (tt.wrong != "-") || len(got) > 1 {
				t.Errorf("Validate() reports %v, want %s", got, tt.wrong)
			}
		})
	}
}

func TestConfigs(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		wrong  string // the field; "-" for none
	}{
		{"leakyBucket", func(c *Config) { c.Algorithm, c.MaxWait, c.MaxWaiting = LeakyBucket, time.Second, 7 }, "-"},
		{"slidingWindow", func(c *Config) { c.Algorithm = SlidingWindow }, "-"},
		{"a store", func(c *Config) { c.Store, c.OnStoreFailure = "s", Deny }, "-"},
		{"a store that is not the rate's", func(c *Config) { c.Store, c.Rate = "s", Rate{} }, "-"},
		{"another algorithm", func(c *Config) { c.Algorithm = "bucket" }, "algorithm"},
		{"a burst in a window", func(c *Config) { c.Algorithm, c.Burst = SlidingWindow, 7 }, "burst"},
		{"a wait for a token", func(c *Config) { c.MaxWait = time.Second }, "maxWait"},
		{"waiting for a token", func(c *Config) { c.MaxWaiting = 7 }, "maxWaiting"},
		{"a wait of a minute", func(c *Config) { c.Algorithm, c.MaxWait = LeakyBucket, time.Minute }, "maxWait"},
		{"a failure without a store", func(c *Config) { c.OnStoreFailure = Deny }, "onStoreFailure"},
		{"another failure", func(c *Config) { c.Store, c.OnStoreFailure = "s", "close" }, "onStoreFailure"},
		{"no rate", func(c *Config) { c.Rate = Rate{} }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := config("50/s", 0)
			tt.change(&c)
			got := problems(func(report func(string, string)) { c.Validate(report) })
			if _, ok := got[tt.wrong]; ok != (tt.wrong != "-") || len(got) > 1 {
				t.Errorf("Validate() reports %v, want %s", got, tt.wrong)
			}
		})
	}
}

// What is no URL of a Redis may be what another library takes for one.
func TestNoProblemTellsAPassword(t *testing.T) {
	for _, raw := range []string{
		"redis://:hunter2@redis", "user:hunter2@redis:6379", "rediss:hunter2@redis", "redis://redis/0?password=hunter2",
		"redis://redis/0#hunter2", "redis://user@hunter2@redis:70000", "redis:6379,password=hunter2,ssl=True",
	} {
		if _, problem := parseRedis(raw); problem == "" || strings.Contains(problem, "hunter2") {
			t.Errorf("parseRedis(%q) = %q, want a problem that does not repeat it", raw, problem)
		}
	}
}

func FuzzRedisURL(f *testing.F) {
	for _, seed := range []string{"redis://redis:6379/0", "rediss://u@[::1]/7", "redis://u:hunter2@redis", "redis://:hunter2@h:99999/x?y"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		at, problem := parseRedis(raw)
		if problem == "" && (at.address == "" || at.database < 0) {
			t.Errorf("parseRedis(%q) = %+v", raw, at)
		}
		if strings.Contains(raw, ":hunter2@") && strings.Contains(problem, "hunter2") {
			t.Errorf("parseRedis(%q) tells the password: %s", raw, problem)
		}
	})
}
