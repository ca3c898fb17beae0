"""What the controller knows of a host, for its backup: controller.py SECRETS INVENTORY_FILE.

Prints JSON {name: base64}: the host's secrets, the inventory's file, the variables of groups and hosts beside it.
"""

import base64
import json
import sys
from pathlib import Path


def below(folder: Path, name: str) -> dict[str, bytes]:
    """Files at or below the folder, by their names in the backup."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {f"{name}/{path.relative_to(folder)}": path.read_bytes() for path in files}


secrets, inventory = Path(sys.argv[1]), Path(sys.argv[2])
found = below(secrets, "secrets")
found |= {f"inventory/{inventory.name}": inventory.read_bytes()} if inventory.is_file() else {}
for variables in ("group_vars", "host_vars"):
    found |= below(inventory.parent / variables, f"inventory/{variables}")
print(json.dumps({name: base64.b64encode(content).decode() for name, content in found.items()}))
