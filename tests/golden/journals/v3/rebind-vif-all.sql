-- 0 before
-- 1 after
-- 2 killed 37 journal.commit
-- 3 killed 38 vif_drivers.unbind
-- 4 killed 39 journal.commit
-- 5 killed 40 vif_drivers.unbind
-- 6 killed 41 journal.commit
-- 7 killed 42 vif_drivers.unbind
-- 8 killed 43 journal.commit
-- 9 killed 44 vif_drivers.unbind
-- 10 killed 46 journal.commit
-- 11 killed 47 vif_drivers.reload
-- 12 killed 48 journal.commit
-- 13 killed 50 journal.commit
-- 14 killed 52 links.restore
-- 15 killed 53 vif_store.set_plumbed
-- 16 killed 54 journal.commit
-- 17 killed 56 journal.commit
-- 18 killed 58 links.restore
-- 19 killed 59 vif_store.set_plumbed
-- 20 killed 60 journal.commit
-- 21 killed 62 journal.commit
-- 22 killed 64 links.restore
-- 23 killed 65 vif_store.set_plumbed
-- 24 killed 66 journal.commit
-- 25 killed 68 journal.commit
-- 26 killed 70 links.restore
-- 27 killed 71 vif_store.set_plumbed
-- 28 incomplete 38 vif_drivers.unbind
-- 29 incomplete 40 vif_drivers.unbind
-- 30 incomplete 42 vif_drivers.unbind
-- 31 incomplete 44 vif_drivers.unbind
-- 32 incomplete 47 vif_drivers.reload
-- 33 incomplete 49 vif_drivers.bind
-- 34 incomplete 52 links.restore
-- 35 incomplete 53 vif_store.set_plumbed
-- 36 incomplete 55 vif_drivers.bind
-- 37 incomplete 58 links.restore
-- 38 incomplete 59 vif_store.set_plumbed
-- 39 incomplete 61 vif_drivers.bind
-- 40 incomplete 64 links.restore
-- 41 incomplete 65 vif_store.set_plumbed
-- 42 incomplete 67 vif_drivers.bind
-- 43 incomplete 70 links.restore
-- 44 incomplete 71 vif_store.set_plumbed
-- 45 undoing 03 vif_drivers.load
-- 46 undoing 07 links.restore
-- 47 undoing 10 vif_drivers.load
-- 48 undoing 14 links.restore
-- 49 undoing 17 vif_drivers.load
-- 50 undoing 21 links.restore
-- 51 undoing 24 vif_drivers.load
-- 52 undoing 28 links.restore
INSERT INTO "compensation_totals" VALUES('unbind_vif','failed',1); -- 28
INSERT INTO "compensation_totals" VALUES('unbind_vif','failed',2); -- 29
INSERT INTO "compensation_totals" VALUES('unbind_vif','failed',3); -- 30
INSERT INTO "compensation_totals" VALUES('unbind_vif','failed',4); -- 31-44
INSERT INTO "duration_totals" VALUES('rebind','plug',0.001,1,0.0); -- 1
INSERT INTO "duration_totals" VALUES('rebind','unplug',0.001,1,0.0); -- 1
INSERT INTO "operation_totals" VALUES('rebind','bridge','done','',1); -- 1
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','','web',1,'live','bridge','{"kind":"vif","reload":true,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"web/ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}},{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":0,"alias":"ua-web0","label":"web/ua-web0","wanted":{"name":"vif1.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"5"}},{"domain_uuid":"00000000-0002-4000-8000-000000000000","domain_id":2,"number":0,"alias":"ua-db0","label":"db/ua-db0","wanted":{"name":"vif2.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"7"}},{"domain_uuid":"","domain_id":99,"number":3,"alias":"vif-99-3","label":"vif-99-3","wanted":{"name":"vif99.3","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br1","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"8"}}]}','done','done','','','00000000000440008000000000000000',1700000000.0,1700000000.0); -- 1
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','','web',1,'live','bridge','{"kind":"vif","reload":true,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"web/ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}},{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":0,"alias":"ua-web0","label":"web/ua-web0","wanted":{"name":"vif1.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"5"}},{"domain_uuid":"00000000-0002-4000-8000-000000000000","domain_id":2,"number":0,"alias":"ua-db0","label":"db/ua-db0","wanted":{"name":"vif2.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"7"}},{"domain_uuid":"","domain_id":99,"number":3,"alias":"vif-99-3","label":"vif-99-3","wanted":{"name":"vif99.3","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br1","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"8"}}]}','running','','','','00000000000440008000000000000000',1700000000.0,NULL); -- 2-27
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','','web',1,'live','bridge','{"kind":"vif","reload":true,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"web/ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}},{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":0,"alias":"ua-web0","label":"web/ua-web0","wanted":{"name":"vif1.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"5"}},{"domain_uuid":"00000000-0002-4000-8000-000000000000","domain_id":2,"number":0,"alias":"ua-db0","label":"db/ua-db0","wanted":{"name":"vif2.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"7"}},{"domain_uuid":"","domain_id":99,"number":3,"alias":"vif-99-3","label":"vif-99-3","wanted":{"name":"vif99.3","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br1","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"8"}}]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (unbind_vif: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000440008000000000000000',1700000000.0,NULL); -- 28
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','','web',1,'live','bridge','{"kind":"vif","reload":true,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"web/ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}},{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":0,"alias":"ua-web0","label":"web/ua-web0","wanted":{"name":"vif1.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"5"}},{"domain_uuid":"00000000-0002-4000-8000-000000000000","domain_id":2,"number":0,"alias":"ua-db0","label":"db/ua-db0","wanted":{"name":"vif2.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"7"}},{"domain_uuid":"","domain_id":99,"number":3,"alias":"vif-99-3","label":"vif-99-3","wanted":{"name":"vif99.3","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br1","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"8"}}]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (unbind_vif: it failed, for the test; unbind_vif: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000440008000000000000000',1700000000.0,NULL); -- 29
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','','web',1,'live','bridge','{"kind":"vif","reload":true,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"web/ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}},{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":0,"alias":"ua-web0","label":"web/ua-web0","wanted":{"name":"vif1.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"5"}},{"domain_uuid":"00000000-0002-4000-8000-000000000000","domain_id":2,"number":0,"alias":"ua-db0","label":"db/ua-db0","wanted":{"name":"vif2.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"7"}},{"domain_uuid":"","domain_id":99,"number":3,"alias":"vif-99-3","label":"vif-99-3","wanted":{"name":"vif99.3","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br1","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"8"}}]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (unbind_vif: it failed, for the test; unbind_vif: it failed, for the test; unbind_vif: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000440008000000000000000',1700000000.0,NULL); -- 30
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','','web',1,'live','bridge','{"kind":"vif","reload":true,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"web/ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}},{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":0,"alias":"ua-web0","label":"web/ua-web0","wanted":{"name":"vif1.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"5"}},{"domain_uuid":"00000000-0002-4000-8000-000000000000","domain_id":2,"number":0,"alias":"ua-db0","label":"db/ua-db0","wanted":{"name":"vif2.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"7"}},{"domain_uuid":"","domain_id":99,"number":3,"alias":"vif-99-3","label":"vif-99-3","wanted":{"name":"vif99.3","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br1","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"8"}}]}','incomplete','incomplete','rollback-incomplete','it failed, for the test Undoing it did not finish either (unbind_vif: it failed, for the test; unbind_vif: it failed, for the test; unbind_vif: it failed, for the test; unbind_vif: it failed, for the test). The journal keeps it: run ''virtnetplug recover''.','00000000000440008000000000000000',1700000000.0,NULL); -- 31-44
INSERT INTO "operations" VALUES(1,'000000000003','rebind','fake:///host','','web',1,'live','bridge','{"kind":"vif","reload":true,"nics":[{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":1,"alias":"ua-web1","label":"web/ua-web1","wanted":{"name":"mynic","mac":"fe:ff:ff:ff:ff:ff","mtu":9000,"queue_length":1000,"is_up":true,"is_promiscuous":true,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"01","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"6"}},{"domain_uuid":"00000000-0001-4000-8000-000000000000","domain_id":1,"number":0,"alias":"ua-web0","label":"web/ua-web0","wanted":{"name":"vif1.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"5"}},{"domain_uuid":"00000000-0002-4000-8000-000000000000","domain_id":2,"number":0,"alias":"ua-db0","label":"db/ua-db0","wanted":{"name":"vif2.0","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br0","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"7"}},{"domain_uuid":"","domain_id":99,"number":3,"alias":"vif-99-3","label":"vif-99-3","wanted":{"name":"vif99.3","mac":"fe:ff:ff:ff:ff:ff","mtu":1500,"queue_length":1000,"is_up":true,"is_promiscuous":false,"hears_all_multicast":false,"has_carrier":false,"master":"br1","port":"00","addresses":[],"routes":[]},"isolated":false,"rings":{"tx-ring-ref":"8","rx-ring-ref":"9","event-channel":"8"}}]}','running','','','','00000000000540008000000000000000',1700000000.0,NULL); -- 45-52
INSERT INTO "steps" VALUES('000000000003',0,'unbind_vif','web/ua-web1','unplug','live','done',1700000000.0,0.0,''); -- 1 4-27 45-52
INSERT INTO "steps" VALUES('000000000003',1,'unbind_vif','web/ua-web0','unplug','live','done',1700000000.0,0.0,''); -- 1 6-27 45-52
INSERT INTO "steps" VALUES('000000000003',2,'unbind_vif','db/ua-db0','unplug','live','done',1700000000.0,0.0,''); -- 1 8-27 45-52
INSERT INTO "steps" VALUES('000000000003',3,'unbind_vif','vif-99-3','unplug','live','done',1700000000.0,0.0,''); -- 1 10-27 45-52
INSERT INTO "steps" VALUES('000000000003',4,'reload_driver','xen-netback','plug',NULL,'done',1700000000.0,0.0,''); -- 1 12-27 33-52
INSERT INTO "steps" VALUES('000000000003',5,'bind_vif','web/ua-web1','plug','live','done',1700000000.0,0.0,''); -- 1 13-27 34-44 46-52
INSERT INTO "steps" VALUES('000000000003',6,'join_bridge','web/ua-web1','plug','live','done',1700000000.0,0.0,''); -- 1 16-27 36-45 47-52
INSERT INTO "steps" VALUES('000000000003',7,'bind_vif','web/ua-web0','plug','live','done',1700000000.0,0.0,''); -- 1 17-27 37-46 48-52
INSERT INTO "steps" VALUES('000000000003',8,'join_bridge','web/ua-web0','plug','live','done',1700000000.0,0.0,''); -- 1 20-27 39-47 49-52
INSERT INTO "steps" VALUES('000000000003',9,'bind_vif','db/ua-db0','plug','live','done',1700000000.0,0.0,''); -- 1 21-27 40-48 50-52
INSERT INTO "steps" VALUES('000000000003',10,'join_bridge','db/ua-db0','plug','live','done',1700000000.0,0.0,''); -- 1 24-27 42-49 51-52
INSERT INTO "steps" VALUES('000000000003',11,'bind_vif','vif-99-3','plug','live','done',1700000000.0,0.0,''); -- 1 25-27 43-50 52
INSERT INTO "steps" VALUES('000000000003',12,'join_bridge','vif-99-3','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000003',13,'verify','web/ua-web1','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000003',14,'verify','web/ua-web0','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000003',15,'verify','db/ua-db0','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000003',16,'verify','vif-99-3','plug','live','done',1700000000.0,0.0,''); -- 1
INSERT INTO "steps" VALUES('000000000003',0,'unbind_vif','web/ua-web1','unplug','live','started',1700000000.0,NULL,''); -- 2-3
INSERT INTO "steps" VALUES('000000000003',1,'unbind_vif','web/ua-web0','unplug','live','planned',NULL,NULL,''); -- 2-3 28
INSERT INTO "steps" VALUES('000000000003',2,'unbind_vif','db/ua-db0','unplug','live','planned',NULL,NULL,''); -- 2-5 28-29
INSERT INTO "steps" VALUES('000000000003',3,'unbind_vif','vif-99-3','unplug','live','planned',NULL,NULL,''); -- 2-7 28-30
INSERT INTO "steps" VALUES('000000000003',4,'reload_driver','xen-netback','plug',NULL,'planned',NULL,NULL,''); -- 2-9 28-31
INSERT INTO "steps" VALUES('000000000003',5,'bind_vif','web/ua-web1','plug','live','planned',NULL,NULL,''); -- 2-11 28-32
INSERT INTO "steps" VALUES('000000000003',6,'join_bridge','web/ua-web1','plug','live','planned',NULL,NULL,''); -- 2-12 28-33
INSERT INTO "steps" VALUES('000000000003',7,'bind_vif','web/ua-web0','plug','live','planned',NULL,NULL,''); -- 2-15 28-32
INSERT INTO "steps" VALUES('000000000003',8,'join_bridge','web/ua-web0','plug','live','planned',NULL,NULL,''); -- 2-16 28-36
INSERT INTO "steps" VALUES('000000000003',9,'bind_vif','db/ua-db0','plug','live','planned',NULL,NULL,''); -- 2-19 28-32
INSERT INTO "steps" VALUES('000000000003',10,'join_bridge','db/ua-db0','plug','live','planned',NULL,NULL,''); -- 2-20 28-39
INSERT INTO "steps" VALUES('000000000003',11,'bind_vif','vif-99-3','plug','live','planned',NULL,NULL,''); -- 2-23 28-32
INSERT INTO "steps" VALUES('000000000003',12,'join_bridge','vif-99-3','plug','live','planned',NULL,NULL,''); -- 2-24 28-42
INSERT INTO "steps" VALUES('000000000003',13,'verify','web/ua-web1','plug','live','planned',NULL,NULL,''); -- 2-52
INSERT INTO "steps" VALUES('000000000003',14,'verify','web/ua-web0','plug','live','planned',NULL,NULL,''); -- 2-52
INSERT INTO "steps" VALUES('000000000003',15,'verify','db/ua-db0','plug','live','planned',NULL,NULL,''); -- 2-52
INSERT INTO "steps" VALUES('000000000003',16,'verify','vif-99-3','plug','live','planned',NULL,NULL,''); -- 2-52
INSERT INTO "steps" VALUES('000000000003',1,'unbind_vif','web/ua-web0','unplug','live','started',1700000000.0,NULL,''); -- 4-5
INSERT INTO "steps" VALUES('000000000003',2,'unbind_vif','db/ua-db0','unplug','live','started',1700000000.0,NULL,''); -- 6-7
INSERT INTO "steps" VALUES('000000000003',3,'unbind_vif','vif-99-3','unplug','live','started',1700000000.0,NULL,''); -- 8-9
INSERT INTO "steps" VALUES('000000000003',4,'reload_driver','xen-netback','plug',NULL,'started',1700000000.0,NULL,''); -- 10-11
INSERT INTO "steps" VALUES('000000000003',5,'bind_vif','web/ua-web1','plug','live','started',1700000000.0,NULL,''); -- 12 45
INSERT INTO "steps" VALUES('000000000003',6,'join_bridge','web/ua-web1','plug','live','started',1700000000.0,NULL,''); -- 13-15 46
INSERT INTO "steps" VALUES('000000000003',7,'bind_vif','web/ua-web0','plug','live','started',1700000000.0,NULL,''); -- 16 47
INSERT INTO "steps" VALUES('000000000003',8,'join_bridge','web/ua-web0','plug','live','started',1700000000.0,NULL,''); -- 17-19 48
INSERT INTO "steps" VALUES('000000000003',9,'bind_vif','db/ua-db0','plug','live','started',1700000000.0,NULL,''); -- 20 49
INSERT INTO "steps" VALUES('000000000003',10,'join_bridge','db/ua-db0','plug','live','started',1700000000.0,NULL,''); -- 21-23 50
INSERT INTO "steps" VALUES('000000000003',11,'bind_vif','vif-99-3','plug','live','started',1700000000.0,NULL,''); -- 24 51
INSERT INTO "steps" VALUES('000000000003',12,'join_bridge','vif-99-3','plug','live','started',1700000000.0,NULL,''); -- 25-27 45-52
INSERT INTO "steps" VALUES('000000000003',0,'unbind_vif','web/ua-web1','unplug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 28-44
INSERT INTO "steps" VALUES('000000000003',1,'unbind_vif','web/ua-web0','unplug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 29-44
INSERT INTO "steps" VALUES('000000000003',2,'unbind_vif','db/ua-db0','unplug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 30-44
INSERT INTO "steps" VALUES('000000000003',3,'unbind_vif','vif-99-3','unplug','live','undo-failed',1700000000.0,0.0,'it failed, for the test'); -- 31-44
INSERT INTO "steps" VALUES('000000000003',4,'reload_driver','xen-netback','plug',NULL,'failed',1700000000.0,0.0,'it failed, for the test'); -- 32
INSERT INTO "steps" VALUES('000000000003',5,'bind_vif','web/ua-web1','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 33
INSERT INTO "steps" VALUES('000000000003',7,'bind_vif','web/ua-web0','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 33-36
INSERT INTO "steps" VALUES('000000000003',9,'bind_vif','db/ua-db0','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 33-39
INSERT INTO "steps" VALUES('000000000003',11,'bind_vif','vif-99-3','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 33-42
INSERT INTO "steps" VALUES('000000000003',6,'join_bridge','web/ua-web1','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 34-35
INSERT INTO "steps" VALUES('000000000003',8,'join_bridge','web/ua-web0','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 37-38
INSERT INTO "steps" VALUES('000000000003',10,'join_bridge','db/ua-db0','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 40-41
INSERT INTO "steps" VALUES('000000000003',12,'join_bridge','vif-99-3','plug','live','failed',1700000000.0,0.0,'it failed, for the test'); -- 43-44
