# SPDX-License-Identifier: GPL-2.0
#
#   make                     module for the running kernel, and k8snetctl
#   make demo                the example cluster in a VM (as root: installs what
#                            it needs)
#   make check               all tests; TEST=name or TEST='a b' runs only those,
#                            FASTPATH=off or =established with that setting
#   make shell               a prompt in a VM with the example cluster up
#   make install             on this node; or, to have the module built again
#   make dkms-install        with each new kernel
#   make help                the rest

# Empty: the running kernel, by KDIR. Else 6.1, 6.12 or 7.2, fetched by
# selftests/vm/kernel.sh, which for check, demo and shell is the VM's (6.1).
KERNEL ?=

KVER ?= $(if $(KERNEL),$(shell cat $$($(VM)/kernel.sh $(KERNEL))/release),$(shell uname -r))
KDIR ?= /lib/modules/$(KVER)/build
PREFIX ?= /usr
DESTDIR ?=
BUILD ?= $(CURDIR)/build

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
VM := selftests/vm
DEPS := $(VM)/deps.sh
VM_KERNEL = $(or $(KERNEL),6.1)
MODDIR = $(DESTDIR)/lib/modules/$(KVER)/updates
MODULE = $(BUILD)/$(or $(KERNEL),host)/src/k8snet.ko
DOCDIR = $(DESTDIR)$(PREFIX)/share/doc/k8snet

export K8SNET_BUILD := $(BUILD)

# What tests set on their nodes: auto, established or off.
ifneq ($(FASTPATH),)
export K8SNET_FASTPATH := $(FASTPATH)
endif

all: module tool

# --- building ----------------------------------------------------------

# "make" without the headers of the running kernel makes the tool, and says so;
# "make module" fails.
NO_HEADERS = no kernel headers in $(KDIR): install linux-headers-$(KVER), or \
	set KDIR, or take a supported kernel: make module KERNEL=6.1

module:
ifneq ($(KERNEL),)
	@$(DEPS) build kernel
	@$(VM)/build.sh $(KERNEL)
else ifneq ($(wildcard $(KDIR)/Makefile),)
	@$(DEPS) build
	@$(VM)/build.sh $(KDIR)
else
	@echo "k8snet: $(NO_HEADERS)" >&2
	@$(if $(filter all,$(or $(MAKECMDGOALS),all)),true,exit 2)
endif

tool:
	@$(DEPS) build
	@$(MAKE) --no-print-directory -C tool VERSION=$(VERSION)

clean:
	rm -rf $(BUILD)
	$(MAKE) -C tool clean
	$(MAKE) -C selftests clean

# --- this node ---------------------------------------------------------

install: install-module install-tool

install-module: module
	install -D -m 0644 $(MODULE) $(MODDIR)/k8snet.ko
	$(if $(DESTDIR),,depmod $(KVER))

install-tool: tool
	$(MAKE) --no-print-directory -C tool install PREFIX=$(PREFIX) \
		DESTDIR=$(DESTDIR) VERSION=$(VERSION)
	install -D -m 0644 uapi/linux/k8snet.h \
		$(DESTDIR)$(PREFIX)/include/linux/k8snet.h
	install -D -m 0644 docs/examples/modules-load.d/k8snet.conf \
		$(DOCDIR)/examples/modules-load.d/k8snet.conf

uninstall:
	rm -f $(MODDIR)/k8snet.ko
	$(if $(DESTDIR),,depmod $(KVER))
	$(MAKE) --no-print-directory -C tool uninstall PREFIX=$(PREFIX) \
		DESTDIR=$(DESTDIR)
	rm -f $(DESTDIR)$(PREFIX)/include/linux/k8snet.h
	rm -rf $(DOCDIR)

# DKMSFLAGS: for example --dkmstree and --sourcetree, as the test does.
DKMS_SOURCE ?= /usr/src
DKMSFLAGS ?=
DKMS_ID := k8snet/$(VERSION)
DKMS_DIR = $(DKMS_SOURCE)/k8snet-$(VERSION)

# What dkms builds from, and no more.
dkms-source:
	rm -rf $(DKMS_DIR)
	install -d $(DKMS_DIR)
	cp -r Kbuild dkms.conf COPYING $(DKMS_DIR)/
	for f in $$(find module uapi -name '*.[ch]'); do \
		install -D -m 0644 $$f $(DKMS_DIR)/$$f || exit; done

dkms-install:
	@$(DEPS) dkms
	@selftests/dkms.sh supported $(KVER)
	dkms status $(DKMSFLAGS) $(DKMS_ID) | grep -q . || $(MAKE) dkms-source
	dkms status $(DKMSFLAGS) $(DKMS_ID) | grep -q . || \
		dkms add $(DKMSFLAGS) $(DKMS_ID)
	dkms install $(DKMSFLAGS) -k $(KVER) $(DKMS_ID)

dkms-remove:
	dkms remove $(DKMSFLAGS) $(DKMS_ID) --all
	rm -rf $(DKMS_DIR)

# --- the VM ------------------------------------------------------------

check:
	@$(DEPS) build kernel vm test
	@selftests/check.py $(if $(KERNEL),--kernel $(KERNEL)) $(TEST)

demo:
	@$(DEPS) build kernel vm test
	@$(VM)/run.sh -k $(VM_KERNEL) -n demo -- docs/examples/demo.sh

shell:
	@$(DEPS) build kernel vm test
	@$(VM)/run.sh -k $(VM_KERNEL) -n shell -t 0 -i -- $(VM)/shell.sh

help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile
	@sed -n '/^#: /s///p' Makefile $(wildcard selftests/*.mk bench/*.mk)

#:   make module KERNEL=K    module for a fetched kernel: 6.1, 6.12 or 7.2
#:   make tool               k8snetctl
#:   make install-tool       k8snetctl, its manual page and completion only
#:   make install-module     the module only
#:   make uninstall          what "make install" put on this node
#:   make dkms-remove        what "make dkms-install" put on this node
#:   make clean              all that was built here (not the cache of kernels)

.PHONY: all module tool clean install install-module install-tool uninstall \
	dkms-source dkms-install dkms-remove check demo shell help

-include selftests/*.mk bench/*.mk
