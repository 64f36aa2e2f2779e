"""Burned-in text that may name the patient or the study: names, numbers, births, institutions.

In doubt the answer is yes: an identifier that is called a word may be kept on the picture; a word that is called an
identifier is only masked once too often.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.flag.found import Found


def words(*lines: str) -> frozenset[str]:
    """The words on `lines`, which are separated by blanks."""
    return frozenset(" ".join(lines).split())


LABELS = words(
    "NAME SURNAME FORENAME NOMBRE APELLIDO APELLIDOS NOME COGNOME NOM PRENOM VORNAME NACHNAME NAAM",
    "PATIENT PATIENTE PATIENTIN PACIENTE PAZIENTE PAT PT ID PID PATID PATIENTID UID MRN UR URN NHS NHC HC SSN CPF DNI",
    "DOB BORN BIRTH BIRTHDATE NATO NATA NASC NASCIMENTO NASCITA NAC NACIMIENTO GEB GEBOREN NAISSANCE NIE",
    "ACC ACCNO ACCESSION EPISODE STUDYID EXAMID REF REFNO AGE SEX SEXO SESSO EDAD IDADE ALTER RADIOLOGIA RADIOLOGY",
    "HOSPITAL HOSP CLINIC CLINICA CLINIQUE KLINIK KLINIKUM KRANKENHAUS OSPEDALE HOPITAL AZIENDA AUSL ASST",
    "UNIVERSITY UNIVERSITA UNIVERSIDAD UNIVERSITAT CENTER CENTRE CENTRO MEDICAL INSTITUTE INSTITUTO",
    "DR DRA DOTT PROF MD PHYSICIAN DOCTOR OPERATOR TECHNOLOGIST MR MRS MS HERR FRAU",
)
"""Words that announce an identifier, without accents, in six languages."""
_BARE = frozenset({"MS", "MR", "MD", "DR", "HC", "PT", "ID", "UR", "REF", "ALTER", "SEX", "AGE", "ACC", "PAT"})
"""Labels that alone, without what they announce, are as well the initials of a radiographer."""
_CODE = re.compile(
    r"(?<!\d)\d(?:[\s_-]?\d){5,}(?!\d)"  # six digits or more
    r"|\b(?=(?:[A-Z]*\d){4})(?=\d*[A-Z])[A-Z\d]{6,}\b"  # letters and at least four digits in one word
)
# The recogniser reads the caret between the parts of a DICOM name as a tilde.
_NAME = re.compile(r"[^\W\d_]{2,}\s*[\^~]|[\^~]\s*[^\W\d_]{2,}|^[^\W\d_]{2,}(?:[ '-][^\W\d_]+)*\s*,\s*[^\W\d_]{2,}")
_PERSON = re.compile(
    r"^0?\d{2}\s*[YAJ](?:RS?|EARS?|NOS|NNI|AHRE)?(?:\s*/?\s*[MFHW])?$|^[MFHW]\s*[/,]?\s*0?\d{2}\s*[YAJ]"
)
_LINES_APART, _LINES_ALIKE = 1.1, 2.0


def is_identifier(plain: str) -> bool:
    """Whether a line of text may identify somebody. `plain`: upper case, without accents."""
    tokens = re.findall(r"[^\W_]+", plain)
    labelled = [token for token in tokens if token in LABELS]
    if labelled and (len(tokens) > 1 or labelled[0] not in _BARE):
        return True
    return bool(_CODE.search(plain) or _NAME.search(plain) or _PERSON.match(plain))


def spread_over_blocks(regions: Sequence[Found]) -> list[Found]:
    """Words and dates printed in one block with an identifier are identifiers too: a name has no label of its own."""
    suspect = [each for each in regions if each.kind == "identifier"]
    result = list(regions)
    while suspect:
        source = suspect.pop()
        for place, each in enumerate(result):
            if each.kind in ("word", "date") and each.text is None and _one_block(source, each):
                result[place] = replace(each, kind="identifier")
                suspect.append(result[place])
    return result


def _one_block(left: Found, right: Found) -> bool:
    """Whether two lines are of like height, one close below the other, and overlap or start alike."""
    a, b = left.box, right.box
    height = min(a.height, b.height)
    gap = max(a.y0, b.y0) - min(a.y1, b.y1)
    across = min(a.x1, b.x1) - max(a.x0, b.x0)
    return max(a.height, b.height) <= _LINES_ALIKE * height and gap <= _LINES_APART * height and across > -height
