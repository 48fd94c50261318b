"""Adult census as numbers, by constants that are declared here and not taken from the data.

Shapes: X [n, 88]; a usual row has length 0.85. `fnlwgt` is a sampling weight and `education` repeats
`education_num`; both are left out.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

NUMBERS = {  # middle and spread, from general knowledge of ages, school years and working hours
    "age": (40.0, 15.0),
    "education_num": (10.0, 3.0),
    "capital_gain": (0.0, 10_000.0),
    "capital_loss": (0.0, 1_000.0),
    "hours_per_week": (40.0, 12.0),
}
CATEGORIES = {  # as in the census codebook; anything else counts as unknown and is all zeros
    "workclass": "Private|Self-emp-not-inc|Self-emp-inc|Federal-gov|Local-gov|State-gov|Without-pay|Never-worked",
    "marital_status": "Married-civ-spouse|Divorced|Never-married|Separated|Widowed|Married-spouse-absent|Married-AF-spouse",
    "occupation": "Tech-support|Craft-repair|Other-service|Sales|Exec-managerial|Prof-specialty|Handlers-cleaners|"
    "Machine-op-inspct|Adm-clerical|Farming-fishing|Transport-moving|Priv-house-serv|Protective-serv|Armed-Forces",
    "relationship": "Wife|Own-child|Husband|Not-in-family|Other-relative|Unmarried",
    "race": "White|Asian-Pac-Islander|Amer-Indian-Eskimo|Other|Black",
    "sex": "Female|Male",
    "native_country": "United-States|Cambodia|England|Puerto-Rico|Canada|Germany|Outlying-US(Guam-USVI-etc)|India|Japan|"
    "Greece|South|China|Cuba|Iran|Honduras|Philippines|Italy|Poland|Jamaica|Vietnam|Mexico|Portugal|Ireland|France|"
    "Dominican-Republic|Laos|Ecuador|Taiwan|Haiti|Columbia|Hungary|Guatemala|Nicaragua|Scotland|Thailand|Yugoslavia|"
    "El-Salvador|Trinadad&Tobago|Peru|Hong|Holand-Netherlands",
}
LENGTH = 3.5  # of a usual row before scaling


def adult() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features, and whether the income is above 50,000."""
    table = pq.read_table(Path(os.environ["EXPUNGE_DATA"]) / "tabular" / "adult_census.parquet")
    columns: list[Any] = []
    for name, (middle, spread) in NUMBERS.items():
        columns.append((table[name].to_numpy().astype(float) - middle) / spread)
    for name, values in CATEGORIES.items():
        given = np.array([str(v).strip() for v in table[name].to_pylist()])
        columns.extend((given == value).astype(float) for value in values.split("|"))
    y = np.array([">50K" in str(v) for v in table["income"].to_pylist()]).astype(np.int64)
    return np.column_stack(columns) / LENGTH, y
