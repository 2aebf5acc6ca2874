"""Every bound of the format, with its unit; each is checked before the memory it guards is taken."""

MIB = 1024 * 1024

FILE_BYTES_MAX = 256 * MIB
HEADER_BYTES_MAX = 256 * 1024
HEADER_DEPTH_MAX = 16  # levels of nesting; the deepest key of the format lies at 6
HEADER_NODES_MAX = 20_000  # YAML nodes, so that a small text cannot make a large tree
PROBLEMS_MAX = 200  # reported per header; a text of nothing but mistakes stays cheap to refuse
TEXT_CHARS_MAX = 4_096  # one string of the header

SECTIONS_MAX = 32
SECTION_RAW_BYTES_MAX = 256 * MIB
RAW_BYTES_TOTAL_MAX = 512 * MIB  # all sections of a file together, inflated
LZ4_RATIO_MAX = 255  # the most an LZ4 block can expand; a larger claim is false

CAPABILITIES_MAX = 64
PORTS_MAX = 32  # per capability and direction
SHAPE_RANK_MAX = 8
WORKFLOW_STEPS_MAX = 64
SANDBOX_LAYERS_MAX = 32
EGRESS_MAX = 8  # places one agent connects to

LAYER_WIDTH_MAX = 65_536
HIDDEN_LAYERS_MAX = 64
LAYERS_MAX = 256  # of one list
LAYER_TENSOR_ITEMS_MAX = 67_108_864  # weights of one tensor: 256 MiB of f32
VALUE_ITEMS_MAX = 4_194_304  # numbers between two layers, per row of the batch
WINDOW_MAX = 1_024  # the extent of a kernel or pool window, a stride or a padding
HEADS_MAX = 64
TRAINING_ROWS_MAX = 16_777_216

BATCH_ROWS_MAX = 64  # rows a compiled network takes in one call
WASM_PAGE_BYTES = 65_536
WASM_PAGES_MAX = 16_384  # 1 GiB of linear memory

PYTHON_MODULE_BYTES_MAX = MIB

assert HEADER_BYTES_MAX < FILE_BYTES_MAX
assert SECTION_RAW_BYTES_MAX <= RAW_BYTES_TOTAL_MAX
assert PYTHON_MODULE_BYTES_MAX <= SECTION_RAW_BYTES_MAX
