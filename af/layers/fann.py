"""The numbers of FANN's activation functions, for every engine and format that has them."""

FANN_CLIP = 150.0  # FANN clips steepness * sum to this over steepness, on both sides

# FANN's two step-wise functions: six places, the values there, and what lies beyond them.
STEPWISE: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, float]]] = {
    "fann_sigmoid_stepwise": (
        (
            -2.64665246009826660156,
            -1.47221946716308593750,
            -0.549306154251098632812,
            0.549306154251098632812,
            1.47221934795379638672,
            2.64665293693542480469,
        ),
        (
            0.00499999988824129104614,
            0.0500000007450580596924,
            0.25,
            0.75,
            0.949999988079071044922,
            0.995000004768371582031,
        ),
        (0.0, 1.0),
    ),
    "fann_sigmoid_symmetric_stepwise": (
        (
            -2.64665293693542480469,
            -1.47221934795379638672,
            -0.549306154251098632812,
            0.549306154251098632812,
            1.47221934795379638672,
            2.64665293693542480469,
        ),
        (
            -0.990000009536743164062,
            -0.899999976158142089844,
            -0.5,
            0.5,
            0.899999976158142089844,
            0.990000009536743164062,
        ),
        (-1.0, 1.0),
    ),
}
