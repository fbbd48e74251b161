"""A round for each page: what it writes and the cursor of the next one are one transaction."""

import os

from catalogue import api
from fluxio import Again, Retry, StepContext, step, workflow

TABLE = os.environ.get("PRODUCTS_TABLE", "products")


@workflow
class CatalogueImport:
    @step(retry=Retry(5), timeout=30)
    def fetch(self, ctx: StepContext) -> dict | Again:
        done = ctx.state or {"cursor": None, "imported": 0}
        page = api.products(done["cursor"])
        for product in page["products"]:
            item = {"sku": {"S": product["sku"]}, "cents": {"N": str(product["cents"])}}
            ctx.transact({"Put": {"TableName": TABLE, "Item": item}})
        imported = done["imported"] + len(page["products"])
        if page["next"] is None:
            return {"imported": imported}
        return Again(after=0, state={"cursor": page["next"], "imported": imported})

    @step(depends_on=[fetch])
    def report(self, imported: int) -> dict:
        return {"text": f"{imported} products"}
