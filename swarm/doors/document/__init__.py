"""The graph document: the YAML or JSON file people hand to `swarm submit`.

    graph: digits-report
    on_failure: stop
    inputs: {images: split.images, labels: report.labels}
    nodes:
      split: {capability: "data:split", with: {parts_count: 8}}
      classify: {capability: "vision:digit", times: 8}     # classify.0 to classify.7
      doubt: {capability: "vision:doubt", retry: {attempts_max: 5}, timeout_ms: 2000}
      report: {capability: "data:report"}
    edges:
      - split.parts -> classify.*.image                    # one part for each
      - classify.*.scores -> doubt.scores                  # gathered, in order
      - {from: doubt.found, to: report.found, bond: loose, items_max: 1}
    outputs: {report: report.report}

Text in, `Graph` out; whoever calls it reads the file. Every problem is told at once, with the line
it is on where the text is YAML. `dump` writes a graph so that `load` gives an equal one.
"""

from swarm.doors.document.dump import dump as dump
from swarm.doors.document.load import load as load
