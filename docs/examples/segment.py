# --8<-- [start:session]
import ovsam_plugin

session = ovsam_plugin.open_image("cat.jpg", vocabulary="cat, dog, cushion")
session.click(260, 180)
print(session.instance.label, session.instance.mask.shape)
# --8<-- [end:session]
# --8<-- [start:more]
session.click(60, 60, on=False)  # not this
session.undo()
print([(thing.label, thing.box) for thing in session.candidates])  # smaller and larger ones
print([thing.label for thing in session.find("a sleeping cat")])
# --8<-- [end:more]
