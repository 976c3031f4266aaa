internal import CNBD
