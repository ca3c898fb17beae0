"""What the values of the roles' variables may be, and what is wrong with those that a person has given.

Pure: argument_specs.yml and values.yml of a role's meta/ go in as data, sentences come out. The lookup plugin
`wrong_values` reads the files and the variables.
"""
