package main

import "time"

// connections are those with which memory is measured, and how much there may
// be of it, in MiB.
var connections = []struct{ count, atMost int }{{64, 45}, {1000, 80}}

// memory measures what each proxy has in memory beside connections that have
// all carried requests at once for a while, and are idle now. It is the same
// process that carried all loads before.
func (w *world) memory(r *results) error {
	for _, of := range connections {
		for _, name := range []string{bare, full} {
			held, err := w.holding(name, of.count)
			if err != nil {
				return err
			}
			r.memory[name] = append(r.memory[name], float64(held)/(1<<20))
		}
	}
	return nil
}

func (w *world) holding(name string, count int) (int64, error) {
	p := w.proxies[name]
	message := getSmall.message(w.tokens[0])
	cs, err := dial(p.URL, count, message)
	if err != nil {
		return 0, err
	}
	defer cs.close()
	if _, err := cs.send(until(time.Second, message)); err != nil {
		return 0, err
	}
	time.Sleep(time.Second)
	return p.Memory()
}
