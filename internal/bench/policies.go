package main

// policy is every kind of policy at once, none of them refusing, and one
// request in a hundred traced.
const policy = `
version: v1
server: {listen: "127.0.0.1:0", telemetry: "127.0.0.1:0", admin: "127.0.0.1:0", transport: READS, shutdown: {drainDelay: 0s}}
upstreams: {app: {transport: CALLS, endpoints: [{url: "UPSTREAM"}], pool: {idleTimeout: 1m}}}
policies:
  validation: {sane: {methods: [GET, POST], contentTypes: [application/json], headers: {deny: [X-Debug]}}}
  authn: {users: {issuers: [{issuer: bench, publicKeyFile: bench.pem, algorithms: [RS256]}], forwardClaims: {X-User: subject}}}
  authz:
    rules:
      rules:
        - {name: suspended, effect: deny, when: {claims: {status: suspended}}}
        - {name: readers, effect: allow, when: {roles: [reader, writer], methods: [GET, POST], paths: ["/v1/orders/*"]}}
  rateLimit: {each: {rate: 1000000/s, key: [principal, ip]}}
  circuitBreaker: {standard: {consecutiveFailures: 10}}
  retry: {safe: {maxAttempts: 3}}
  fault: {chaos: {abort: {status: 503}}}
routes:
  - name: orders
    match: {pathPrefix: /v1/orders}
    upstream: app
    use: {validation: sane, authn: users, authz: rules, rateLimit: each, circuitBreaker: standard, retry: safe, fault: chaos}
telemetry: {logs: {access: ACCESS}, tracing: {otlp: "COLLECTOR", samplePercent: 1}}
`

// nothing is no policy at all: what is on by itself is off.
const nothing = `
version: v1
server: {listen: "127.0.0.1:0", telemetry: "127.0.0.1:0", admin: "127.0.0.1:0"}
upstreams: {app: {endpoints: [{url: "UPSTREAM"}], pool: {idleTimeout: 1m}}}
routes: [{name: all, upstream: app, timeout: 0s, streamIdleTimeout: 0s, use: {validation: none, circuitBreaker: none, retry: none}}]
telemetry: {logs: {access: none}}
`

// switches are what a policy leaves open: direct or standard, for the client's
// requests and for the calls to the upstream, and none or all in the access log.
type switches struct{ reads, calls, access string }

// asShipped is how a sidecar is if nothing is said.
var asShipped = switches{"direct", "direct", "none"}
