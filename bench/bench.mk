# SPDX-License-Identifier: GPL-2.0
#
# The benchmark: see docs/performance.md.

BENCH := bench/bench.py
BENCH_ARGS = $(if $(FULL),--full) $(if $(DATAPATHS),--datapaths "$(DATAPATHS)") \
	$(if $(ROWS),--rows "$(ROWS)") $(if $(FAMILIES),--families "$(FAMILIES)") \
	$(if $(FLOWS),--flows "$(FLOWS)")

bench:
	@$(DEPS) build kernel vm bench
	@$(BENCH) rows $(BENCH_ARGS)

bench-load:
	@$(DEPS) build kernel vm bench
	@$(BENCH) load $(BENCH_ARGS)

bench-profile:
	@$(DEPS) build kernel vm bench
	@$(BENCH) profile --datapaths "$(or $(DATAPATH),k8snet-auto)" \
		--rows "$(or $(ROW),vip-local)" \
		$(if $(FAMILIES),--families "$(FAMILIES)") \
		$(if $(FLOWS),--flows "$(FLOWS)")

bench-smp:
	@$(DEPS) build kernel vm bench
	@$(BENCH) smp $(if $(DATAPATHS),--datapaths "$(DATAPATHS)")

bench-docs:
	@$(BENCH) docs

#:   make bench              instructions per packet and per connection, by
#:                           datapath; ROWS='vip-* tcp-crr', FAMILIES='4 6',
#:                           FLOWS='1 100000' and DATAPATHS='plain iptables-1000
#:                           k8snet-auto-50000x5' select, FULL=1 takes all
#:   make bench-load         instructions and memory to load services
#:   make bench-profile      where they go: DATAPATH=k8snet-auto ROW=vip-local
#:   make bench-smp          two processors, two senders
#:   make bench-docs         docs/performance.md's tables from the results

.PHONY: bench bench-load bench-profile bench-smp bench-docs
