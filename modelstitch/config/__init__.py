"""What a study file says, section by section; no torch is imported here.

`study.load_study` checks a whole file and names every problem in it; a job gets its own section as plain values
(`section.model_dump(mode="json")`) and reads it back (`read(Architecture, values)`). Rates, epochs and shifts are plain
numbers, in the unit the description gives.
"""
