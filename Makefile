# Photoworld Graphing
#
#   make up          a graphing server in a container on this computer, with Photoworld and visitors
#   make down        removes it
#   make sniff       shows the events that come in (8125) and the lines that carbon gets (2003)
#   make test        lint, unit tests, Molecule with testinfra, six faults: all that CI runs
#   make test-all    the same, and the scenarios of Molecule that take longer
#
#   make venv        the tools of this repository in .venv, for ansible-playbook and molecule by hand
#   make lint        yamllint, ansible-lint, shellcheck, ruff, mypy, role documentation
#   make unit        the Python tests
#   make molecule    the platform on fresh containers, checked
#   make test-faults  kills, fills, breaks and reboots a host and counts what that costs (docs/reliability.md); ROWS=r04, SEEDS=1,
#                    DEBIAN=12, ON=INVENTORY for a host that is there, DOCS=1 to write the figures down
#   make twin        the aggregator's compiled engine in .cache/twin, where there is a C compiler
#   make bench-statsd  the aggregator against its peers on this machine (half an hour and more; QUICK=1: 3 minutes)
#   make docs        writes the variable tables of the roles' READMEs anew
#   make release     VERSION=1.2.3: writes the version, commits and tags it; pushes nothing (docs/releasing.md)
#   make lock        writes requirements.txt anew from requirements.in
#
# make up PROFILE=1 ends with the slowest tasks.
SHELL := /bin/sh
export GRAPHING_STARTED := $(shell date +%s)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PROFILE

venv := .venv/.complete
python := .venv/bin/python
twin := .cache/twin/.complete
failed := .cache/molecule/failed
# Which tests failed is said last, after all that Molecule says.
scenario = COLUMNS=140 molecule test --scenario-name $(1) || { status=$$?; echo '== What failed'; cat $(failed); exit $$status; }
lock := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-config --custom-compile-command 'make lock'

help:
	@sed -n '2,/^[^#]/s/^# \{0,1\}//p' Makefile

$(venv): requirements.txt bin/venv
	@bin/venv

venv: $(venv)

docker:
	@bin/docker-ready

up: $(venv) docker
	@ansible-playbook -i inventory/local/ molecule/shared/create.yml molecule/shared/prepare.yml playbooks/site.yml

down: $(venv)
	@if docker info >/dev/null 2>&1; then ansible-playbook -i inventory/local/ molecule/shared/destroy.yml; \
	else echo 'No Docker engine answers, so there is no test host.'; fi

sniff: $(venv)
	@docker exec $$(test -t 0 && echo -it) "$$(bin/test-host)" graphing-sniff

test: lint unit molecule

lint: $(venv)
	yamllint --strict .
	shellcheck $$(git grep --untracked -lIE '^#!.*[/ ](ba|da)?sh( |$$)' -- ':!*.j2')
	ruff check .
	ruff format --check .
	bin/types
	bin/role-docs --check
	ansible-lint --offline

# Most of their time is waiting. What stands in a file stays in one process, as do the servers that its tests share.
unit: $(venv) twin
	$(python) -m pytest -q --numprocesses=4 --dist=loadfile

# Without a compiler or Python's headers the tests of the compiled engine are left out here; Molecule has it run on hosts.
twin: $(twin)

$(twin): $(wildcard files/graphing/twin/*) bin/twin $(venv)
	@if command -v cc >/dev/null && [ -e "$$($(python) -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]; \
	then bin/twin; else echo 'No C compiler or no Python.h: the compiled engine is not tested here.'; mkdir -p $(@D); fi
	@touch $@

bench-statsd: $(venv) twin
	$(python) benchmarks/bench-statsd $(if $(QUICK),--quick) $(if $(OUT),--out $(OUT))

# One after the other: the faults mean nothing where others keep the processors busy.
molecule: $(venv) docker
	@mkdir -p $(dir $(failed)); : >$(failed)
	$(call scenario,default)
	$(call scenario,faults)

test-all: test
	bin/scenarios day-two alternative ssh ec2

test-faults: $(venv) docker
	@$(if $(ON),,DEBIAN=$(DEBIAN) molecule converge --scenario-name faults)
	@$(python) -m pytest -p no:cacheprovider tests/faults --ansible-inventory=$(or $(ON),molecule/faults/inventory/) \
	  --hosts=ansible://graphing $(if $(ROWS),-k '$(ROWS)') $(if $(SEEDS),--seeds=$(SEEDS)) $(if $(DOCS),--write-docs) $(FAULTS); \
	status=$$?; $(if $(ON),,molecule destroy --scenario-name faults;) exit $$status

docs: $(venv)
	bin/role-docs

release: $(venv)
	@bin/release $(VERSION)

lock: $(venv)
	cd files/graphing && $(lock) requirements.in -o requirements.txt
	$(lock) requirements.in -o requirements.txt
	cd files/photoworld && $(lock) --constraint ../../requirements.txt --no-annotate requirements.in -o requirements.txt

.PHONY: help venv docker up down sniff test test-all lint unit twin bench-statsd molecule test-faults docs release lock
