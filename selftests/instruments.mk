# SPDX-License-Identifier: GPL-2.0
#
# What watches the code: included by the Makefile above.

CHECK := selftests/check.py

#:   make check-all          all tests on all kernels, and a table; KERNEL=K
#:                           on 6.1, 6.12, 7.2, debug or kcsan alone, and
#:                           TEST=name for one test
check-all:
	@$(DEPS) build kernel vm test dkms source
	@$(CHECK) --all $(if $(KERNEL),--kernel $(KERNEL)) $(TEST)

#:   make check-sanitized    the tool's tests, with the tool's memory watched
check-sanitized:
	@$(DEPS) build kernel vm test sanitize
	@$(CHECK) --sanitize $(if $(KERNEL),--kernel $(KERNEL)) $(or $(TEST), \
		$(patsubst selftests/%,%,$(wildcard selftests/tool*.sh \
			selftests/tool*.py)))

#:   make mutants            whether each test can fail: runs it on sources
#:                           broken on purpose; TEST=name for one test
mutants:
	@$(DEPS) build kernel vm test dkms
	@selftests/mutants/mutants.py $(TEST)

#:   make coverage           lines of module/ that the tests execute, by file
coverage:
	@$(DEPS) build kernel vm test source
	@K8SNET_KERNEL=$(KERNEL) selftests/static/coverage.py $(TEST)

#:   make static             what can be found without running the code
static:
	@$(DEPS) build kernel source static
	@selftests/static/static.sh $(PART)

#:   make style              only the part of it that is about form
style:
	@$(DEPS) build source static
	@selftests/static/static.sh style

.PHONY: check-all check-sanitized mutants coverage static style
