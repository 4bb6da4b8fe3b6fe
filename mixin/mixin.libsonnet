// Written by `make dashboards` from alerts.yaml and rules.yaml. README.md describes how to use it.
{
  _config+:: {
    selector: '',  // added to every selector of the exporter's metrics, for example 'job="ci-builds"'
    defaultBranches: "main|master",  // a regular expression
    externalUrl: "http://localhost:10065/",  // the address of the exporter, as in --web.external-url
    grafanaUrl: "http://localhost:3000/",  // the address of Grafana
    runbookUrl: "https://github.com/ci-build-exporter/ci-build-exporter/blob/main/",  // what stands before docs/runbook.md
    keepFiringFor: "5m",  // how long alerts bridge a restart
    failingRuns: 5,  // CIBuildFailingRepeatedly: failed runs in a row
    successRatioFall: 0.2,  // CIBuildSuccessRatioFallen: fall of the success ratio below its week
    latencyFactor: 2,  // CIBuildLatencyDoubled: how many times slower than in its week
    latencySeconds: 60,  // CIBuildLatencyDoubled: seconds slower than in its week
    stuckSeconds: 3600,  // CIBuildStuck: age of an unfinished build
    flakyCommits: 5,  // CIBuildFlaky: commits on which a build both failed and succeeded
    flakyShare: 0.05,  // CIBuildFlaky: the same as a share of the builds
    overdueFactor: 2,  // CIBuildOverdue: how many times longer than the longest pause
    staleSeconds: 1800,  // CIBuildTargetStale: time since a target was read, without webhooks
    allowanceShare: 0.1,  // CIBuildAllowanceNearlyUsed: what is left of the rate limit
    alerts: {
      "CIBuildDefaultBranchBroken": {
        "severity": "warning",
        "for": "10m",
      },
      "CIBuildFailingRepeatedly": {
        "severity": "critical",
        "for": "5m",
      },
      "CIBuildSuccessRatioFallen": {
        "severity": "warning",
        "for": "30m",
      },
      "CIBuildLatencyDoubled": {
        "severity": "info",
        "for": "30m",
      },
      "CIBuildStuck": {
        "severity": "warning",
        "for": "10m",
      },
      "CIBuildFlaky": {
        "severity": "info",
        "for": "1h",
      },
      "CIBuildOverdue": {
        "severity": "info",
        "for": "30m",
      },
      "CIBuildTargetUnreadable": {
        "severity": "warning",
        "for": "15m",
      },
      "CIBuildTargetStale": {
        "severity": "warning",
        "for": "10m",
      },
      "CIBuildsMissed": {
        "severity": "info",
        "for": "1m",
      },
      "CIBuildSourceDown": {
        "severity": "critical",
        "for": "10m",
      },
      "CIBuildReplicaCutOff": {
        "severity": "warning",
        "for": "30m",
      },
      "CIBuildAllowanceNearlyUsed": {
        "severity": "warning",
        "for": "10m",
      },
      "CIBuildSourceResting": {
        "severity": "warning",
        "for": "15m",
      },
      "CIBuildExporterDown": {
        "severity": "critical",
        "for": "5m",
      },
      "CIBuildExporterAbsent": {
        "severity": "critical",
        "for": "15m",
      },
      "CIBuildConfigReloadFailed": {
        "severity": "warning",
        "for": "5m",
      },
      "CIBuildStoreDown": {
        "severity": "warning",
        "for": "5m",
      },
      "CIBuildTargetsHidden": {
        "severity": "warning",
        "for": "15m",
      },
      "CIBuildSeriesFolded": {
        "severity": "info",
        "for": "1h",
      },
    },
  },
  _settings:: $._config {
    first: if $._config.selector == '' then '' else $._config.selector + ', ',
    alone: if $._config.selector == '' then '' else '{' + $._config.selector + '}',
    inQuery: std.strReplace($._config.selector, '%', '%%'),
  },
  prometheusAlerts+:: { groups+: [
    {
      "name": "ci-build-exporter-builds",
      "rules": [
        {
          "alert": "CIBuildDefaultBranchBroken",
          "expr": "max without (instance, pod) (\n  ci_build_last_success%(alone)s\n  unless ignoring (branch, build_name, build_stage, trigger, ref_kind) replica:ci_build_target_up:cut_off\n) == 0 and ignoring (build_name, build_stage, trigger, ref_kind) branch:ci_build_default_branch:info" % $._settings,
          "for": $._config.alerts.CIBuildDefaultBranchBroken['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildDefaultBranchBroken.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): {{ $labels.branch }} is broken" % $._settings,
            "description": "The latest finished run on {{ $labels.branch }} of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} failed. {{- $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }} {{- $last := first . }}{{ if label \"build_id\" $last }} It is build {{ label \"build_id\" $last }} of commit {{ label \"sha\" $last }} {{- if label \"reason\" $last }} ({{ label \"reason\" $last }}){{ end }}.{{ end }}{{ if label \"url\" $last }} {{ label \"url\" $last }}{{ end }} {{- end }} {{- with printf `ci_build_broken_since_timestamp_seconds{%%s%(inQuery)s}` $of | query }} Broken since {{ . | first | value | humanizeTimestamp }}. {{- end }}" % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuilddefaultbranchbroken" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}&var-branch={{ $labels.branch | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "build_page": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ with label \"url\" (first .) }}{{ . }}{{ else }} {{- \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{- end }}{{ else }}{{ \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}{{ end }}" % $._settings,
            "command": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- $id := \"\" }}{{ with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ $id = label \"build_id\" (first .) }}{{ end }} {{- if $id }}ci-build-exporter builds show {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{ $id }} {{- else }}ci-build-exporter builds list {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} --failed-last{{ end }}" % $._settings,
          },
        },
        {
          "alert": "CIBuildFailingRepeatedly",
          "expr": "max without (instance, pod) (\n  ci_build_consecutive_failures{%(first)sbranch!=\"other\"}\n  unless ignoring (branch, build_name, build_stage, trigger, ref_kind) replica:ci_build_target_up:cut_off\n) >= %(failingRuns)g" % $._settings,
          "for": $._config.alerts.CIBuildFailingRepeatedly['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildFailingRepeatedly.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): {{ $labels.branch }} failed {{ $value }} times in a row" % $._settings,
            "description": "The last {{ $value }} runs on {{ $labels.branch }} of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} failed. {{- $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }} {{- $last := first . }}{{ if label \"build_id\" $last }} The newest is build {{ label \"build_id\" $last }} of commit {{ label \"sha\" $last }} {{- if label \"reason\" $last }} ({{ label \"reason\" $last }}){{ end }}.{{ end }}{{ if label \"url\" $last }} {{ label \"url\" $last }}{{ end }} {{- end }}" % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildfailingrepeatedly" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}&var-branch={{ $labels.branch | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "build_page": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ with label \"url\" (first .) }}{{ . }}{{ else }} {{- \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{- end }}{{ else }}{{ \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}{{ end }}" % $._settings,
            "command": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- $id := \"\" }}{{ with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ $id = label \"build_id\" (first .) }}{{ end }} {{- if $id }}ci-build-exporter builds show {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{ $id }} {{- else }}ci-build-exporter builds list {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} --failed-last{{ end }}" % $._settings,
          },
        },
        {
          "alert": "CIBuildSuccessRatioFallen",
          "expr": "branch:ci_build_window_run_success_ratio:week - branch:ci_build_window_run_success_ratio:of_many > %(successRatioFall)g" % $._settings,
          "for": $._config.alerts.CIBuildSuccessRatioFallen['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildSuccessRatioFallen.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): {{ $labels.branch }} succeeds less often than last week" % $._settings,
            "description": "The success ratio of {{ $labels.branch }} of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} is {{ printf \"%%.2f\" $value }} below its mean of last week. {{- $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }} {{- $last := first . }}{{ if label \"build_id\" $last }} Build {{ label \"build_id\" $last }} of commit {{ label \"sha\" $last }} failed last {{- if label \"reason\" $last }} ({{ label \"reason\" $last }}){{ end }}.{{ end }}{{ if label \"url\" $last }} {{ label \"url\" $last }}{{ end }} {{- end }}" % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildsuccessratiofallen" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}&var-branch={{ $labels.branch | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "build_page": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ with label \"url\" (first .) }}{{ . }}{{ else }} {{- \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{- end }}{{ else }}{{ \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}{{ end }}" % $._settings,
            "command": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- $id := \"\" }}{{ with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ $id = label \"build_id\" (first .) }}{{ end }} {{- if $id }}ci-build-exporter builds show {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{ $id }} {{- else }}ci-build-exporter builds list {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} --failed-last{{ end }}" % $._settings,
          },
        },
        {
          "alert": "CIBuildLatencyDoubled",
          "expr": "branch:ci_build_conclude_latency_seconds:p90_of_many > %(latencyFactor)g * branch:ci_build_conclude_latency_seconds:p90_week and branch:ci_build_conclude_latency_seconds:p90_of_many - branch:ci_build_conclude_latency_seconds:p90_week > %(latencySeconds)g" % $._settings,
          "for": $._config.alerts.CIBuildLatencyDoubled['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildLatencyDoubled.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): builds of {{ $labels.branch }} take twice as long as last week" % $._settings,
            "description": "Nine of ten successful builds of {{ $labels.branch }} of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} conclude within {{ $value | humanizeDuration }}, more than twice as long as last week. {{- $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `branch:ci_build_conclude_latency_seconds:p90_week{%%s%(inQuery)s}` $of | query }} There it was {{ . | first | value | humanizeDuration }}. {{- end }}" % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildlatencydoubled" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}&var-branch={{ $labels.branch | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter builds list {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
          },
        },
        {
          "alert": "CIBuildStuck",
          "expr": "branch:ci_build_unfinished_seconds:max > %(stuckSeconds)g unless branch:ci_build_unfinished_seconds:max <= 3 * branch:ci_build_conclude_latency_seconds:p90" % $._settings,
          "for": $._config.alerts.CIBuildStuck['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildStuck.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): a build of {{ $labels.branch }} is stuck" % $._settings,
            "description": "A build of {{ $labels.branch }} of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} is still unfinished after {{ $value | humanizeDuration }}. {{- $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `branch:ci_build_conclude_latency_seconds:p90{%%s%(inQuery)s}` $of | query }} Nine of ten successful ones end within {{ . | first | value | humanizeDuration }}. {{- end }}" % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildstuck" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}&var-branch={{ $labels.branch | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter builds list {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} --scope running" % $._settings,
          },
        },
        {
          "alert": "CIBuildFlaky",
          "expr": "sum without (branch) (max without (instance, pod) (ci_build_window_flaky_commits%(alone)s)) >= %(flakyCommits)g and sum without (branch) (max without (instance, pod) (ci_build_window_flaky_commits%(alone)s)) > %(flakyShare)g * sum without (branch) (branch:ci_build_window_decided_builds:sum)" % $._settings,
          "for": $._config.alerts.CIBuildFlaky['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildFlaky.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): builds are flaky" % $._settings,
            "description": "On {{ $value }} commits in the windows of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} the same build both failed and succeeded. {{- $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `topk(1, ci_build_window_flaky_commits{%%s%(inQuery)s})` $of | query }} Most of them are of branch {{ . | first | label \"branch\" }}. {{- end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }} {{- $last := first . }}{{ if label \"build_id\" $last }} Build {{ label \"build_id\" $last }} of commit {{ label \"sha\" $last }} failed last {{- if label \"reason\" $last }} ({{ label \"reason\" $last }}){{ end }}.{{ end }}{{ if label \"url\" $last }} {{ label \"url\" $last }}{{ end }} {{- end }}" % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildflaky" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "build_page": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ with label \"url\" (first .) }}{{ . }}{{ else }} {{- \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{- end }}{{ else }}{{ \"%(externalUrl)stargets/\" }}{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}{{ end }}" % $._settings,
            "command": "{{ $of := \"\" }}{{ range $name, $value := $labels }}{{ if ne $name \"__name__\" -}} {{ $of = printf \"%%s%%s=%%q,\" $of $name $value }}{{ end }}{{ end }} {{- $id := \"\" }}{{ with printf `ci_build_last_failed_info{%%s%(inQuery)s}` $of | query }}{{ $id = label \"build_id\" (first .) }}{{ end }} {{- if $id }}ci-build-exporter builds show {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} {{ $id }} {{- else }}ci-build-exporter builds list {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} --failed-last{{ end }}" % $._settings,
          },
        },
        {
          "alert": "CIBuildOverdue",
          "expr": "branch:ci_build_pause_seconds:current > %(overdueFactor)g * branch:ci_build_pause_seconds:longest and branch:ci_build_pause_seconds:current > 6 * 3600" % $._settings,
          "for": $._config.alerts.CIBuildOverdue['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildOverdue.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): no build of {{ $labels.branch }} for longer than usual" % $._settings,
            "description": "The newest build of {{ $labels.branch }} of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} was created {{ $value | humanizeDuration }} ago, more than twice the longest pause of the last two weeks." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildoverdue" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}&var-branch={{ $labels.branch | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter builds list {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
          },
        },
      ],
    },
    {
      "name": "ci-build-exporter-reading",
      "rules": [
        {
          "alert": "CIBuildTargetUnreadable",
          "expr": "max without (instance, pod) (ci_build_target_up%(alone)s) == 0" % $._settings,
          "for": $._config.alerts.CIBuildTargetUnreadable['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildTargetUnreadable.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}) cannot be read" % $._settings,
            "description": "The builds of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} cannot be read. The metrics of all its branches show old data." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildtargetunreadable" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
        {
          "alert": "CIBuildTargetStale",
          "expr": "time() - max without (instance, pod) (ci_build_target_refresh_timestamp_seconds%(alone)s) > %(staleSeconds)g unless (\n  time() - max without (instance, pod) (ci_build_target_refresh_timestamp_seconds%(alone)s) <= 9000\n  and ignoring (project, kind, target) source:ci_build_source_webhook_events:increase7h\n) unless (\n  time() - max without (instance, pod) (ci_build_target_refresh_timestamp_seconds%(alone)s)\n  <= ignoring (project, kind, target) group_left ()\n  2 * max without (instance, pod) (ci_build_source_longest_pause_seconds%(alone)s)\n)" % $._settings,
          "for": $._config.alerts.CIBuildTargetStale['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildTargetStale.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}) has not been read for a long time" % $._settings,
            "description": "The builds of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} were last known to be current {{ $value | humanizeDuration }} ago. The metrics of all its branches are as old." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildtargetstale" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
        {
          "alert": "CIBuildsMissed",
          "expr": "max without (instance, pod) (\n  increase(ci_build_target_errors_total{%(first)sreason=\"missed\"}[1h]) > 0\n  or (ci_build_target_errors_total{%(first)sreason=\"missed\"} unless ci_build_target_errors_total%(alone)s offset 1h)\n) > 0" % $._settings,
          "for": $._config.alerts.CIBuildsMissed['for'],
          "labels": {
            "severity": $._config.alerts.CIBuildsMissed.severity,
          },
          "annotations": {
            "summary": "{{ $labels.target }} ({{ $labels.source }}): there were more new builds than one read can follow" % $._settings,
            "description": "Between two reads there were more new builds of {{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }} than one read can follow. The counters of its branches are too low." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildsmissed" % $._settings,
            "status_page": "%(externalUrl)stargets/{{ $labels.source }}/{{ $labels.kind }}/{{ $labels.project }}{{ if ne $labels.kind \"project\" }}/{{ $labels.target }}{{ end }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-target?var-source={{ $labels.source | urlquery }}&var-project={{ $labels.project | urlquery }}&var-target={{ $labels.target | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
        {
          "alert": "CIBuildSourceDown",
          "expr": "max without (instance, pod) (ci_build_source_up%(alone)s) == 0 or (\n  max without (instance, pod, project, kind, target) (ci_build_target_up%(alone)s) == 0\n  and count without (project, kind, target) (max without (instance, pod) (ci_build_target_up%(alone)s)) > 1\n)" % $._settings,
          "for": $._config.alerts.CIBuildSourceDown['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildSourceDown.severity,
          },
          "annotations": {
            "summary": "{{ $labels.source }} cannot be read at all" % $._settings,
            "description": "Source {{ $labels.source }} cannot be read. The metrics of all its targets and branches show old data, and builds that fail now are not seen." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildsourcedown" % $._settings,
            "status_page": "%(externalUrl)s?source={{ $labels.source | urlquery }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?var-source={{ $labels.source | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
        {
          "alert": "CIBuildReplicaCutOff",
          "expr": "min without (instance, pod) (ci_build_source_up%(alone)s) == 0 and max without (instance, pod) (ci_build_source_up%(alone)s) == 1" % $._settings,
          "for": $._config.alerts.CIBuildReplicaCutOff['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildReplicaCutOff.severity,
          },
          "annotations": {
            "summary": "One replica cannot read {{ $labels.source }}, although another can" % $._settings,
            "description": "A replica of the exporter cannot read source {{ $labels.source }}, although another one can. Its metrics of these targets and branches show old data." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildreplicacutoff" % $._settings,
            "status_page": "%(externalUrl)s?source={{ $labels.source | urlquery }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?var-source={{ $labels.source | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
        {
          "alert": "CIBuildAllowanceNearlyUsed",
          "expr": "max without (instance, pod) (ci_build_source_ratelimit_remaining%(alone)s) / max without (instance, pod) (ci_build_source_ratelimit_limit%(alone)s) < %(allowanceShare)g" % $._settings,
          "for": $._config.alerts.CIBuildAllowanceNearlyUsed['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildAllowanceNearlyUsed.severity,
          },
          "annotations": {
            "summary": "{{ $labels.source }}: {{ $value | humanizePercentage }} of the rate limit is left" % $._settings,
            "description": "{{ $value | humanizePercentage }} of the requests that the provider of source {{ $labels.source }} allows in a period are left. The exporter uses less than half of them by default, so something else uses the token too." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildallowancenearlyused" % $._settings,
            "status_page": "%(externalUrl)s?source={{ $labels.source | urlquery }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?var-source={{ $labels.source | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
        {
          "alert": "CIBuildSourceResting",
          "expr": "max without (instance, pod) (ci_build_source_resting%(alone)s) == 1" % $._settings,
          "for": $._config.alerts.CIBuildSourceResting['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildSourceResting.severity,
          },
          "annotations": {
            "summary": "{{ $labels.source }} is waiting: its rate limit is used up" % $._settings,
            "description": "The provider of source {{ $labels.source }} refuses requests until the rate limit is reset. The metrics of its targets and branches are getting old." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildsourceresting" % $._settings,
            "status_page": "%(externalUrl)s?source={{ $labels.source | urlquery }}" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?var-source={{ $labels.source | urlquery }}{{ with $labels.job }}&var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
      ],
    },
    {
      "name": "ci-build-exporter-itself",
      "rules": [
        {
          "alert": "CIBuildExporterDown",
          "expr": "max without (instance, pod) (up and on (job, instance) last_over_time(ci_build_exporter_build_info%(alone)s[7d])) == 0" % $._settings,
          "for": $._config.alerts.CIBuildExporterDown['for'],
          "labels": {
            "severity": $._config.alerts.CIBuildExporterDown.severity,
          },
          "annotations": {
            "summary": "No replica of {{ $labels.job }} answers scrapes" % $._settings,
            "description": "No replica of the CI build exporter {{ $labels.job }} answers scrapes. There is no data about any target and branch." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildexporterdown" % $._settings,
            "status_page": "%(externalUrl)s" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?{{ with $labels.job }}var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "curl -sS %(externalUrl)s-/healthy" % $._settings,
          },
        },
        {
          "alert": "CIBuildExporterAbsent",
          "expr": "absent(\n  max without (instance, pod) (up and on (job, instance) last_over_time(ci_build_exporter_build_info%(alone)s[7d]))\n)" % $._settings,
          "for": $._config.alerts.CIBuildExporterAbsent['for'],
          "labels": {
            "severity": $._config.alerts.CIBuildExporterAbsent.severity,
          },
          "annotations": {
            "summary": "Prometheus scrapes no CI build exporter" % $._settings,
            "description": "Prometheus has scraped no CI build exporter within the last week. There is no data about any target and branch." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildexporterabsent" % $._settings,
            "status_page": "%(externalUrl)s" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?{{ with $labels.job }}var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "curl -sS %(externalUrl)s-/healthy" % $._settings,
          },
        },
        {
          "alert": "CIBuildConfigReloadFailed",
          "expr": "min without (instance, pod) (ci_build_exporter_config_last_reload_successful%(alone)s) == 0" % $._settings,
          "for": $._config.alerts.CIBuildConfigReloadFailed['for'],
          "labels": {
            "severity": $._config.alerts.CIBuildConfigReloadFailed.severity,
          },
          "annotations": {
            "summary": "{{ $labels.job }} runs with an old configuration" % $._settings,
            "description": "The new configuration of {{ $labels.job }} has a fault, so the earlier one is still in use. Targets and branches that the new one adds are not read." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildconfigreloadfailed" % $._settings,
            "status_page": "%(externalUrl)s" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?{{ with $labels.job }}var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --config.file=config.yaml" % $._settings,
          },
        },
        {
          "alert": "CIBuildStoreDown",
          "expr": "min without (instance, pod) (ci_build_store_up%(alone)s) == 0" % $._settings,
          "for": $._config.alerts.CIBuildStoreDown['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildStoreDown.severity,
          },
          "annotations": {
            "summary": "{{ $labels.job }} does not store its state" % $._settings,
            "description": "A replica of {{ $labels.job }} cannot use the file that its configuration names as store, and goes on in memory. After a restart the counters of its targets and branches would be too low, or begin at 0." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildstoredown" % $._settings,
            "status_page": "%(externalUrl)s" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?{{ with $labels.job }}var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --config.file=config.yaml" % $._settings,
          },
        },
        {
          "alert": "CIBuildTargetsHidden",
          "expr": "max without (instance, pod) (ci_build_exporter_hidden_targets%(alone)s) > 0" % $._settings,
          "for": $._config.alerts.CIBuildTargetsHidden['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildTargetsHidden.severity,
          },
          "annotations": {
            "summary": "{{ $labels.job }} hides {{ $value }} targets" % $._settings,
            "description": "To stay within metrics.max_series, {{ $labels.job }} shows only ci_build_target_up for {{ $value }} targets. No alert can fire for their branches." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildtargetshidden" % $._settings,
            "status_page": "%(externalUrl)s" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?{{ with $labels.job }}var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
        {
          "alert": "CIBuildSeriesFolded",
          "expr": "max without (instance, pod) (ci_build_exporter_folded_series%(alone)s) > 0" % $._settings,
          "for": $._config.alerts.CIBuildSeriesFolded['for'],
          "keep_firing_for": $._config.keepFiringFor,
          "labels": {
            "severity": $._config.alerts.CIBuildSeriesFolded.severity,
          },
          "annotations": {
            "summary": "{{ $labels.job }} folds branches" % $._settings,
            "description": "To stay within metrics.max_series, {{ $labels.job }} shows all branches of some targets as other, {{ $value }} series fewer. No alert can fire for their default branches." % $._settings,
            "runbook_url": "%(runbookUrl)sdocs/runbook.md#cibuildseriesfolded" % $._settings,
            "status_page": "%(externalUrl)s" % $._settings,
            "dashboard": "%(grafanaUrl)sd/ci-build-exporter?{{ with $labels.job }}var-job={{ . | urlquery }}{{ end }}" % $._settings,
            "command": "ci-build-exporter check --live" % $._settings,
          },
        },
      ],
    },
  ] },
  prometheusRules+:: { groups+: [
    {
      "name": "ci-build-exporter-window",
      "rules": [
        {
          "record": "replica:ci_build_target_up:cut_off",
          "expr": "ci_build_target_up%(alone)s == 0 and ignoring (instance, pod) ci_build_target_up%(alone)s == 1" % $._settings,
        },
        {
          "record": "branch:ci_build_default_branch:info",
          "expr": "max without (instance, pod, provider, url, default_branch) (\n  label_replace(ci_build_target_info{%(first)sdefault_branch!=\"\"}, \"branch\", \"$1\", \"default_branch\", \"(.+)\")\n) or ignoring (branch) (\n  max without (instance, pod, provider, url, default_branch) (\n    label_replace(ci_build_target_info{%(first)sdefault_branch=\"\"}, \"branch\", \"main\", \"\", \"\")\n  )\n  or max without (instance, pod, provider, url, default_branch) (\n    label_replace(ci_build_target_info{%(first)sdefault_branch=\"\"}, \"branch\", \"master\", \"\", \"\")\n  )\n)" % $._settings,
        },
        {
          "record": "branch:ci_build_window_decided_builds:sum",
          "expr": "sum without (status, outcome) (\n  max without (instance, pod) (ci_build_window_builds{%(first)soutcome=~\"success|failure|error|timeout\"})\n)" % $._settings,
        },
        {
          "record": "branch:ci_build_window_decided_runs:sum",
          "expr": "sum without (outcome) (\n  max without (instance, pod) (ci_build_window_runs{%(first)soutcome=~\"success|failure|error|timeout\"})\n)" % $._settings,
        },
        {
          "record": "branch:ci_build_window_run_success_ratio:of_many",
          "expr": "max without (instance, pod) (ci_build_window_run_success_ratio%(alone)s) and branch:ci_build_window_decided_runs:sum >= 20 and ignoring (build_name, build_stage, trigger, ref_kind) branch:ci_build_default_branch:info" % $._settings,
        },
        {
          "record": "branch:ci_build_conclude_latency_seconds:p90",
          "expr": "histogram_quantile(0.9,\n  max without (instance, pod, outcome) (ci_build_conclude_latency_seconds_bucket{%(first)soutcome=\"success\"})\n)" % $._settings,
        },
        {
          "record": "branch:ci_build_conclude_latency_seconds:p90_of_many",
          "expr": "branch:ci_build_conclude_latency_seconds:p90 and max without (instance, pod, outcome) (ci_build_conclude_latency_seconds_gcount{%(first)soutcome=\"success\"}) >= 20 and ignoring (build_name, build_stage, trigger, ref_kind) branch:ci_build_default_branch:info" % $._settings,
        },
        {
          "record": "branch:ci_build_unfinished_seconds:max",
          "expr": "max without (instance, pod) (\n  ci_build_target_refresh_timestamp_seconds%(alone)s\n  - ignoring (branch, build_name, build_stage, trigger, ref_kind) group_right ()\n  ci_build_oldest_unfinished_created_timestamp_seconds%(alone)s\n  unless ignoring (branch, build_name, build_stage, trigger, ref_kind) replica:ci_build_target_up:cut_off\n)" % $._settings,
        },
        {
          "record": "branch:ci_build_pause_seconds:current",
          "expr": "max without (instance, pod) (\n  ci_build_target_refresh_timestamp_seconds%(alone)s\n  - ignoring (branch, build_name, build_stage, trigger, ref_kind) group_right ()\n  ci_build_last_created_timestamp_seconds%(alone)s\n  unless ignoring (branch, build_name, build_stage, trigger, ref_kind) replica:ci_build_target_up:cut_off\n) and ignoring (build_name, build_stage, trigger, ref_kind) branch:ci_build_default_branch:info" % $._settings,
        },
        {
          "record": "source:ci_build_source_webhook_events:increase7h",
          "expr": "sum without (instance, pod, event, result) (\n  increase(ci_build_source_webhook_events_total{%(first)sresult!~\"unauthorized|malformed|too_large\"}[7h]) > 0\n  or (\n    ci_build_source_webhook_events_total{%(first)sresult!~\"unauthorized|malformed|too_large\"}\n    unless ci_build_source_webhook_events_total%(alone)s offset 7h\n  )\n)" % $._settings,
        },
      ],
    },
    {
      "name": "ci-build-exporter-week",
      "rules": [
        {
          "record": "branch:ci_build_window_run_success_ratio:week",
          "expr": "avg_over_time(branch:ci_build_window_run_success_ratio:of_many[7d:1h] offset 1d) and count_over_time(branch:ci_build_window_run_success_ratio:of_many[7d:1h] offset 1d) >= 144" % $._settings,
        },
        {
          "record": "branch:ci_build_conclude_latency_seconds:p90_week",
          "expr": "avg_over_time(branch:ci_build_conclude_latency_seconds:p90_of_many[7d:1h] offset 1d) and count_over_time(branch:ci_build_conclude_latency_seconds:p90_of_many[7d:1h] offset 1d) >= 144" % $._settings,
        },
        {
          "record": "branch:ci_build_pause_seconds:longest",
          "expr": "max_over_time(branch:ci_build_pause_seconds:ended[14d]) and count_over_time(branch:ci_build_pause_seconds:ended[14d]) >= 5 and max without (instance, pod) (\n  last_over_time(ci_build_last_created_timestamp_seconds%(alone)s[1d] offset 7d)\n)" % $._settings,
        },
      ],
    },
    {
      "name": "ci-build-exporter-pauses",
      "interval": "5m",
      "rules": [
        {
          "record": "branch:ci_build_pause_seconds:ended",
          "expr": "max without (instance, pod) (ci_build_last_created_timestamp_seconds%(alone)s) - max without (instance, pod) (\n  last_over_time(ci_build_last_created_timestamp_seconds%(alone)s[1d] offset 5m)\n) > 0 and ignoring (build_name, build_stage, trigger, ref_kind) branch:ci_build_default_branch:info" % $._settings,
        },
      ],
    },
  ] },
  grafanaDashboards+:: {
    "ci-build-exporter.json": (import "dashboards/ci-build-exporter.json"),
    "ci-build-overview.json": (import "dashboards/ci-build-overview.json"),
    "ci-build-target.json": (import "dashboards/ci-build-target.json"),
  },
}
